//! `odoo-hactl`, as a program of the tests: cargo hands them the path of their own programs only.

use std::process::ExitCode;

fn main() -> ExitCode {
    odoo_ha_examples::hactl::main()
}
