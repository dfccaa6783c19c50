//! One node of a cluster, from one TOML file.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The guard is this program, started a second time; this comes before anything else.
    odoo_ha_backends::guard::run_if_guard();
    odoo_ha_examples::agent::main()
}
