//! What an operator asks of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    // It starts none; but so does every program here, and nobody has to know which.
    odoo_ha_backends::guard::run_if_guard();
    odoo_ha_examples::hactl::main()
}
