//! Programs built on odoo-ha.
