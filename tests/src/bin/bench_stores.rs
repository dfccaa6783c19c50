//! Benchmarks of the coordination stores, against real etcd and Consul; see `docs/benchmarks.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    odoo_ha_tests::bench::main()
}
