//! A real failover on one machine: two PostgreSQL nodes, faults, and what a client saw of them.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The guard is this program, started a second time; this comes before anything else.
    odoo_ha_backends::guard::run_if_guard();
    odoo_ha_examples::quickstart::main()
}
