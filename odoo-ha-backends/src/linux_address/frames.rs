//! What is said on the wire, byte by byte: ARP (RFC 826, RFC 5227) and IPv6 neighbour discovery (RFC 4861, RFC 4862).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// Protocols of Ethernet frames.
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;

const BROADCAST: Mac = [0xff; 6];
/// The group of all hosts, and its hardware address (RFC 2464).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Replace what is remembered (RFC 4861, 4.4).
const OVERRIDE: u8 = 0x20;

/// The protocol in which neighbours of this address speak.
pub(super) const fn protocol(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => ARP,
        IpAddr::V6(_) => IPV6,
    }
}

/// Asks who has the address, without claiming it.
pub(super) fn question(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(ARP_REQUEST, mac, Ipv4Addr::UNSPECIFIED, [0; 6], address),
        IpAddr::V6(address) => {
            let [.., a, b, c] = address.octets();
            let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
            // From the unspecified address, so without the option that would name the asker's hardware.
            neighbour(mac, Ipv6Addr::UNSPECIFIED, group, SOLICITATION, 0, address, None)
        }
    }
}

/// Tells everybody that the address is here. Of ARP's two forms some devices heed only the one, some only the other.
pub(super) fn announcements(mac: Mac, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => {
            vec![arp(ARP_REQUEST, mac, address, [0; 6], address), arp(ARP_REPLY, mac, address, BROADCAST, address)]
        }
        IpAddr::V6(address) => vec![neighbour(mac, address, ALL_NODES, ADVERTISEMENT, OVERRIDE, address, Some(mac))],
    }
}

/// Whether the frame is somebody else's word that it has the address.
pub(super) fn claims(frame: &[u8], own: Mac, address: IpAddr) -> bool {
    let bytes = |from: usize, length: usize| frame.get(from..from + length);
    if bytes(6, 6).is_none_or(|sender| sender == own) {
        return false;
    }
    match address {
        IpAddr::V4(address) => {
            bytes(12, 2) == Some(&ARP.to_be_bytes()[..])
                && bytes(22, 6).is_some_and(|sender| sender != own)
                && bytes(28, 4) == Some(&address.octets()[..])
        }
        IpAddr::V6(address) => {
            bytes(12, 2) == Some(&IPV6.to_be_bytes()[..])
                && bytes(20, 1) == Some(&[ICMPV6][..])
                && bytes(54, 1) == Some(&[ADVERTISEMENT][..])
                && bytes(62, 16) == Some(&address.octets()[..])
        }
    }
}

fn arp(operation: u16, mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ARP);
    // Ethernet, IPv4, and how long the addresses of each are.
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend(target_mac);
    frame.extend(target.octets());
    frame
}

fn neighbour(
    mac: Mac,
    from: Ipv6Addr,
    to: Ipv6Addr,
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<Mac>,
) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    if let Some(mac) = option {
        // The target's hardware address, one unit of eight bytes long.
        message.extend([2, 1]);
        message.extend(mac);
    }
    let length = u16::try_from(message.len()).unwrap_or_default();
    let mut summed = Vec::new();
    summed.extend(from.octets());
    summed.extend(to.octets());
    summed.extend(u32::from(length).to_be_bytes());
    summed.extend([0, 0, 0, ICMPV6]);
    summed.extend(&message);
    message[2..4].copy_from_slice(&checksum(&summed).to_be_bytes());

    let [.., a, b, c, d] = to.octets();
    let mut frame = ethernet([0x33, 0x33, a, b, c, d], mac, IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    // What came through a router is not believed (RFC 4861, 7.1): its limit would be lower.
    frame.extend([ICMPV6, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

fn ethernet(to: Mac, from: Mac, protocol: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(96);
    frame.extend(to);
    frame.extend(from);
    frame.extend(protocol.to_be_bytes());
    frame
}

/// The Internet's checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 2];

    #[test]
    fn an_announcement_is_a_claim_to_others_and_a_question_is_none() {
        for address in ["10.0.0.9", "fd00::9"].map(|text| text.parse::<IpAddr>().expect("an address")) {
            for frame in announcements(OTHER, address) {
                assert!(claims(&frame, OWN, address), "{frame:x?}");
                assert!(!claims(&frame, OTHER, address), "one's own word is no other's");
            }
            assert!(!claims(&question(OTHER, address), OWN, address));
            let neighbour = if address.is_ipv4() { "10.0.0.8" } else { "fd00::8" };
            assert!(
                !announcements(OTHER, neighbour.parse().expect("an address"))
                    .iter()
                    .any(|frame| claims(frame, OWN, address))
            );
            for length in 0..60 {
                assert!(!claims(&vec![0; length], OWN, address));
            }
        }
    }

    #[test]
    fn checksums_add_up() {
        // Summed with its checksum in place, a message gives zero.
        let frame = neighbour(OWN, Ipv6Addr::UNSPECIFIED, ALL_NODES, ADVERTISEMENT, OVERRIDE, ALL_NODES, Some(OWN));
        let (header, message) = frame[14..].split_at(40);
        let mut summed = header[8..40].to_vec();
        summed.extend([0, 0, 0, u8::try_from(message.len()).expect("it is short"), 0, 0, 0, ICMPV6]);
        summed.extend(message);
        assert_eq!(checksum(&summed), 0);
        assert_eq!(
            checksum(&[0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7]),
            0xb861
        );
    }
}
