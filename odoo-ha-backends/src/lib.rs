//! Implementations of the roles of `odoo-ha-core`.
