//! The `command` backend: services of a node that programs start, stop and look at, where systemd does not.
//!
//! Each is an absolute path with arguments, run without a shell, in `/`, with nothing of the agent's environment but a `PATH`. What `start` is to
//! leave running it must put into the background by itself, with its output redirected; it is left alone when `start` has ended with 0. A program
//! that does not end in time is killed with its process group.
//!
//! `status` says by its exit code what the service is doing, as init scripts do (LSB): 0 it runs, 1 to 3 it does not, all else that it cannot be told.

mod service;

pub use self::service::CommandService;
