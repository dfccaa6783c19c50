//! What an operator asks of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    odoo_ha_examples::hactl::main()
}
