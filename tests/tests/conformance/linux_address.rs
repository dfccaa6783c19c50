//! An address on an interface: two hosts on one network, each a namespace of its own.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::linux_address::{LinuxAddress, LinuxAddressConfig};
use odoo_ha_core::conformance;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp, FloatingIpCapabilities};
use odoo_ha_core::term::Term;
use odoo_ha_tests::lab::{Host, Network, in_world};
use odoo_ha_tests::stores::eventually;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::timer;

pub(super) const TIME: Duration = Duration::from_secs(10);

/// The address as seen from a host: its calls run in that host's network.
#[derive(Debug)]
pub(super) struct OnHost {
    pub(super) address: Arc<LinuxAddress>,
    host: Handle,
}

impl OnHost {
    pub(super) fn new(host: &Host, config: LinuxAddressConfig) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { address: Arc::new(config.build()?), host: host.runtime() }))
    }

    pub(super) async fn there<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.host.spawn(call);
        let _dropped_with_it = Abort(task.abort_handle());
        task.await.unwrap()
    }
}

struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl FloatingIp for OnHost {
    fn capabilities(&self) -> FloatingIpCapabilities {
        self.address.capabilities()
    }

    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        let address = Arc::clone(&self.address);
        self.there(async move { address.attach(term, timeout).await }).await
    }

    async fn detach(&self, timeout: Duration) -> Result<(), Error> {
        let address = Arc::clone(&self.address);
        self.there(async move { address.detach(timeout).await }).await
    }

    async fn look(&self, timeout: Duration) -> Result<AddressState, Error> {
        let address = Arc::clone(&self.address);
        self.there(async move { address.look(timeout).await }).await
    }
}

pub(super) fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(body);
}

/// Holds it against the suite with addresses of this form, `{}` being a number.
async fn conforms(form: &str, fenced: bool) {
    let network = Network::new();
    let hosts = [network.host("one"), network.host("other")];
    let pairs = AtomicUsize::new(1);
    let bench = || {
        let number = pairs.fetch_add(1, Ordering::Relaxed);
        let one = |host: &Host| {
            let config = LinuxAddressConfig::new(&form.replace("{}", &number.to_string()), "eth0")?;
            let config = if fenced {
                config.fence_file(Path::new("/run/lab").join(format!("fence-{}-{number}", host.name())))
            } else {
                config
            };
            OnHost::new(host, config).map(|address| address as Arc<dyn FloatingIp>)
        };
        Ok((one(&hosts[0])?, one(&hosts[1])?))
    };
    let report = conformance::floating_ip(&bench, &timer).await;
    println!("{form}, fence file {fenced}: {report}");
    report.assert_passed();
    let skipped: Vec<_> = report.skips().map(|(name, _)| name).collect();
    assert_eq!(skipped, ["attaching_takes_it_from_the_other", "an_older_term_is_fenced"]);
}

#[test]
fn an_ipv4_address_conforms() {
    in_world("linux_address::an_ipv4_address_conforms", || run(conforms("10.77.1.{}/24", false)));
}

#[test]
fn an_ipv4_address_conforms_with_a_fence_file() {
    in_world("linux_address::an_ipv4_address_conforms_with_a_fence_file", || run(conforms("10.77.1.{}/32", true)));
}

#[test]
fn an_ipv6_address_conforms() {
    in_world("linux_address::an_ipv6_address_conforms", || run(conforms("fd77::{}/64", false)));
}

/// What a host remembers of its neighbour's hardware address.
fn neighbour(host: &Host, address: IpAddr) -> String {
    let mut show = std::process::Command::new("ip");
    let shown = show.args(["-n", host.name(), "neighbour", "show", &address.to_string()]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let mac = shown.split_whitespace().skip_while(|word| *word != "lladdr").nth(1);
    mac.unwrap_or_default().to_owned()
}

/// Has the host speak to the address, so that it remembers its neighbour.
fn speak(host: &Host, address: IpAddr) {
    let sent = host.thread(move || {
        let any: IpAddr = if address.is_ipv4() { "0.0.0.0".parse().unwrap() } else { "::".parse().unwrap() };
        let socket = std::net::UdpSocket::bind((any, 0)).unwrap();
        // Whether it is taken is no matter.
        let _ = socket.send_to(b"hello", (address, 9));
    });
    sent.join().unwrap();
}

/// A third host speaks to the address at its old holder; then it moves, by no fault, or while the third is cut off from the network.
async fn neighbours_learn(address: &str, cut_off: bool) {
    let network = Network::new();
    let (one, other, third) = (network.host("one"), network.host("other"), network.host("third"));
    let ip: IpAddr = address.split('/').next().unwrap().parse().unwrap();
    if ip.is_ipv6() {
        let done = std::process::Command::new("ip")
            .args(["-n", "third", "address", "add", "fd77::ffff/64", "dev", "eth0", "nodad"])
            .status();
        assert!(done.unwrap().success());
    }
    let config = || LinuxAddressConfig::new(address, "eth0").unwrap().announce_interval(Duration::from_millis(100));
    let old = OnHost::new(&one, config()).unwrap();
    let new = OnHost::new(&other, config()).unwrap();
    old.attach(Term(1), TIME).await.unwrap();
    let before = eventually("the third host knows the old holder", TIME, async || {
        speak(&third, ip);
        Some(neighbour(&third, ip)).filter(|mac| !mac.is_empty())
    })
    .await;
    if cut_off {
        third.plugged(false);
    }
    old.detach(TIME).await.unwrap();
    new.attach(Term(2), TIME).await.unwrap();
    if cut_off {
        assert_eq!(neighbour(&third, ip), before, "it heard nothing");
        third.plugged(true);
    }
    // It does not ask: what it remembers is changed by what it hears alone.
    eventually("the third host knows the new holder", TIME, async || {
        assert_eq!(new.look(TIME).await.unwrap(), AddressState::Here);
        Some(neighbour(&third, ip)).filter(|mac| *mac != before && !mac.is_empty())
    })
    .await;
}

#[test]
fn neighbours_learn_at_once_where_it_is() {
    in_world("linux_address::neighbours_learn_at_once_where_it_is", || run(neighbours_learn("10.77.0.99/24", false)));
}

#[test]
fn neighbours_learn_at_once_where_it_is_ipv6() {
    let body = || run(neighbours_learn("fd77::99/64", false));
    in_world("linux_address::neighbours_learn_at_once_where_it_is_ipv6", body);
}

#[test]
fn neighbours_that_were_cut_off_learn_when_they_are_back() {
    let body = || run(neighbours_learn("10.77.0.99/24", true));
    in_world("linux_address::neighbours_that_were_cut_off_learn_when_they_are_back", body);
}

#[test]
fn it_goes_with_its_interface_and_what_is_wrong_is_said() {
    in_world("linux_address::it_goes_with_its_interface_and_what_is_wrong_is_said", || run(mishaps()));
}

async fn mishaps() {
    let network = Network::new();
    let host = network.host("one");
    let ip = |arguments: &str| {
        let done = std::process::Command::new("ip").args(["-n", "one"]).args(arguments.split(' ')).status();
        assert!(done.unwrap().success(), "{arguments}");
    };
    let fence = Path::new("/run/lab/fence");
    let config = LinuxAddressConfig::new("10.77.0.99/24", "eth0").unwrap().fence_file(fence);
    let address = OnHost::new(&host, config.clone()).unwrap();
    address.attach(Term(5), TIME).await.unwrap();
    let older = address.attach(Term(4), TIME).await.unwrap_err();
    assert_eq!(older.kind(), ErrorKind::Fenced, "{older}");

    // Somebody takes it away, with another prefix than ours, too.
    ip("address delete 10.77.0.99/24 dev eth0");
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);
    ip("address add 10.77.0.99/32 dev eth0");
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::Here);
    address.detach(TIME).await.unwrap();
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);

    // What the guard runs does the same.
    address.attach(Term(5), TIME).await.unwrap();
    let command = config.drop_command().unwrap();
    let [enter, namespace] = host.enter();
    assert!(std::process::Command::new(enter).arg(namespace).args(&command).status().unwrap().success());
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);

    // Whatever its prefix and its label, both see it.
    ip("address add 10.77.0.99/32 dev eth0");
    let [enter, namespace] = host.enter();
    assert!(std::process::Command::new(enter).arg(namespace).args(&command).status().unwrap().success());
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);
    ip("address add 10.77.0.99/24 dev eth0 label eth0:ha");
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::Here);
    address.detach(TIME).await.unwrap();
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);
    let shown = std::process::Command::new("ip").args(["-n", "one", "address", "show"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("10.77.0.99"), "{shown:?}");

    ip("link set eth0 down");
    let down = address.attach(Term(5), TIME).await.unwrap_err();
    assert!(down.kind() == ErrorKind::Unavailable && down.to_string().contains("is down"), "{down}");
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);
    ip("link delete eth0");
    let gone = address.attach(Term(5), TIME).await.unwrap_err();
    assert!(gone.kind() == ErrorKind::Unavailable && gone.to_string().contains("no interface eth0"), "{gone}");
    assert_eq!(address.look(TIME).await.unwrap(), AddressState::NotHere);
    address.detach(TIME).await.unwrap();
}
