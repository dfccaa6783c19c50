//! What is asked of the kernel. Each call is one system call or two, and done when it returns: nothing of it is under way afterwards.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{LinkAddr, MsgFlags, SockaddrStorage, bind, recvfrom, sendto};
use odoo_ha_core::error::{Error, ErrorKind};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{AddressFamily as Family, Protocol, SocketFlags, SocketType, socket_with};

use super::error::refused;
use super::frames::Mac;

/// The kind of hardware that speaks Ethernet (`ARPHRD_ETHER`, `netdevice(7)`).
const ETHERNET: u16 = 1;

/// Longest frame that is looked at; what is asked for is shorter.
const LONGEST_FRAME: usize = 256;

/// What a socket keeps of what came, in bytes. The kernel counts whole packets, of which busy hosts have some of 64 KiB: at its default of
/// 208 KiB three of them would crowd out an answer.
const KEPT: usize = 4 << 20;

/// An interface, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Interface {
    link: LinkAddr,
    index: u32,
    /// Whether it is set up.
    pub(super) is_up: bool,
    /// Its hardware address, if it speaks Ethernet.
    pub(super) mac: Option<Mac>,
    /// The prefixes with which it has the address that was asked about.
    pub(super) prefixes: Vec<u8>,
}

impl Interface {
    /// Looks at the interface of this name, and whether it has the address.
    pub(super) fn find(name: &str, address: IpAddr) -> Result<Self, Error> {
        let what = || format!("linux-address: the interface {name} cannot be looked at");
        let all = getifaddrs().map_err(|error| refused(what(), error.into()))?;
        let mut found = None;
        let mut prefixes = Vec::new();
        // An IPv4 address with a label has that in place of the interface's name (getifaddrs of glibc), and it begins with it.
        let of_it = |seen: &str| seen.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        for entry in all.filter(|entry| of_it(&entry.interface_name)) {
            let Some(seen) = entry.address else { continue };
            if let Some(link) = seen.as_link_addr() {
                found = Some((*link, entry.flags));
            } else if ip_of(&seen) == Some(address) {
                prefixes.extend(entry.netmask.as_ref().and_then(ip_of).map(prefix_of));
            }
        }
        let (link, flags) = found.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("linux-address: this host has no interface {name}"))
                .hint("see `ip link`, and name it as `interface`")
        })?;
        let index = u32::try_from(link.ifindex()).unwrap_or_default();
        let mac = link.addr().filter(|_| link.hatype() == ETHERNET && !flags.contains(InterfaceFlags::IFF_NOARP));
        Ok(Self { link, index, is_up: flags.contains(InterfaceFlags::IFF_UP), mac, prefixes })
    }

    /// Adds the address. One that is there already is no error.
    pub(super) fn add(&self, address: IpAddr, prefix: u8) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewAddress(self.message(address, prefix));
        ask(message, NLM_F_CREATE | NLM_F_EXCL, Errno::EEXIST)
    }

    /// Removes the address. One that is not there is no error.
    pub(super) fn remove(&self, address: IpAddr, prefix: u8) -> io::Result<()> {
        ask(RouteNetlinkMessage::DelAddress(self.message(address, prefix)), 0, Errno::EADDRNOTAVAIL)
    }

    fn message(&self, address: IpAddr, prefix: u8) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.prefix_len = prefix;
        message.header.index = self.index;
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.attributes.push(AddressAttribute::Local(address));
        message.attributes.push(AddressAttribute::Address(address));
        if address.is_ipv6() {
            // Nobody else has it, that was asked: it is usable at once, not after the kernel has asked for a second.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        message
    }
}

/// Sends one request to the kernel, which carries it out before the call returns, and reads its answer; `fine` is no error.
fn ask(message: RouteNetlinkMessage, flags: u16, fine: Errno) -> io::Result<()> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let kernel = SocketAddr::new(0, 0);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&kernel)?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    match answer.payload {
        NetlinkPayload::Error(error) => match error.code {
            None => Ok(()),
            Some(code) if code.get() == -(fine as i32) => Ok(()),
            Some(_) => Err(error.to_io()),
        },
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel answered something else")),
    }
}

/// A socket for whole frames of one protocol.
#[derive(Debug)]
pub(super) struct Wire(OwnedFd);

impl Wire {
    /// Opens it; it hears from now on what comes through the interface.
    pub(super) fn open(protocol: u16, interface: &Interface) -> io::Result<Self> {
        // The kernel wants it in the network's order (packet(7)).
        let protocol = NonZeroU32::new(u32::from(protocol.to_be())).map(Protocol::from_raw);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(Family::PACKET, SocketType::RAW, flags, protocol)?;
        // What this host says to itself, and hears elsewhere, would crowd out an answer. The link names no protocol, so that it stays.
        bind(socket.as_raw_fd(), &interface.link)?;
        // Without it there is the kernel's default, which is enough on most days.
        _ = set_socket_recv_buffer_size_force(&socket, KEPT);
        Ok(Self(socket))
    }

    /// Sends a frame through an interface. Where the queue is full it is lost, as it would be on the wire.
    pub(super) fn send(&self, interface: &Interface, frame: &[u8]) -> io::Result<()> {
        match sendto(self.0.as_raw_fd(), frame, &interface.link, MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::EAGAIN | Errno::ENOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame that has come through the interface, if there is one. Does not wait.
    pub(super) fn receive(&self, interface: &Interface) -> io::Result<Option<Vec<u8>>> {
        let mut frame = vec![0; LONGEST_FRAME];
        loop {
            match recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut frame) {
                Ok((length, Some(from))) if from.ifindex() == interface.link.ifindex() => {
                    frame.truncate(length);
                    return Ok(Some(frame));
                }
                // Another interface's, from before it was bound; or it went down: so says the socket once, and goes on.
                Ok(_) | Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether the kernel knows an interface of this name; where it cannot be told it may.
pub(super) fn is_there(interface: &str) -> bool {
    !matches!(if_nametoindex(interface), Err(Errno::ENODEV))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4().or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn prefix_of(netmask: IpAddr) -> u8 {
    let ones = match netmask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or_default()
}
