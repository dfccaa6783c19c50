//! etcd 3.4 and later as the coordination store.
//!
//! A read is one linearizable range over the cluster's keys, all its pages at one revision; a commit is one transaction that compares
//! `mod_revision`s; a watch begins where a read ended. No lease is used: etcd keeps them alive for seconds longer than asked when its
//! leader changes, and leadership here does not need them.
//!
//! A call is tried at one endpoint, and after a short time at the next one as well, within the caller's deadline: a member that is dead,
//! frozen or cut off costs one such step. What that means for commits is said at [`EtcdDcs`]. Nothing is retried after the deadline,
//! and nothing is decided here: an outcome that is not known is reported as not known.
//!
//! # Building
//!
//! `etcd-client` makes its code from etcd's own protocol files, so the build (and only the build) needs `protoc` and the well-known types: Debian's
//! packages `protobuf-compiler` and `libprotobuf-dev`. Without them the build of `etcd-client` fails and says that `protoc` was not
//! found. A `protoc` elsewhere is named in the variable `PROTOC`, its includes in `PROTOC_INCLUDE`.
//!
//! # Rights
//!
//! A user needs one role, with one permission: to read and write below the cluster's own prefix.
//!
//! ```text
//! etcdctl role add odoo-ha-shop
//! etcdctl role grant-permission odoo-ha-shop readwrite --prefix=true /odoo-ha/shop/
//! etcdctl user add shop            # asks for the password
//! etcdctl user grant-role shop odoo-ha-shop
//! ```
//!
//! With client certificates and no user, etcd takes the certificate's common name for the user.
//!
//! # What else may be in the store
//!
//! Anything outside the prefix. Inside it, keys that this library could not have written are passed over, and values are handed on as
//! they are, whatever they hold: the record that is broken is the one that is refused. All endpoints must be of one etcd cluster.
//!
//! Go on with [`EtcdConfig`], then [`EtcdDcs`].

mod client;
mod commit;
mod config;
mod dcs;
mod discovery;
mod endpoints;
mod error;
mod feed;
mod schedule;
mod target;
mod watch;

pub use config::{EtcdConfig, EtcdTls};
pub use dcs::EtcdDcs;
