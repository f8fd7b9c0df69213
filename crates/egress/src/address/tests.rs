use super::*;

fn kind(text: &str) -> AddressKind {
    AddressKind::of(text.parse().unwrap())
}

#[test]
fn n1_every_special_network_is_told_from_the_public_one() {
    let table = [
        ("127.0.0.1", AddressKind::Loopback),
        ("127.255.255.254", AddressKind::Loopback),
        ("::1", AddressKind::Loopback),
        ("10.0.0.1", AddressKind::Private),
        ("172.16.0.1", AddressKind::Private),
        ("172.31.255.255", AddressKind::Private),
        ("192.168.1.1", AddressKind::Private),
        ("fc00::1", AddressKind::Private),
        ("fdff:ffff::1", AddressKind::Private),
        ("100.64.0.1", AddressKind::Shared),
        ("100.127.255.255", AddressKind::Shared),
        ("169.254.0.1", AddressKind::LinkLocal),
        ("fe80::1", AddressKind::LinkLocal),
        ("febf::1", AddressKind::LinkLocal),
        ("fec0::1", AddressKind::SiteLocal),
        ("feff::1", AddressKind::SiteLocal),
        ("169.254.169.254", AddressKind::Metadata),
        ("169.254.170.2", AddressKind::Metadata),
        ("100.100.100.200", AddressKind::Metadata),
        ("168.63.129.16", AddressKind::Metadata),
        ("fd00:ec2::254", AddressKind::Metadata),
        ("224.0.0.1", AddressKind::Multicast),
        ("239.255.255.255", AddressKind::Multicast),
        ("ff02::1", AddressKind::Multicast),
        ("0.0.0.0", AddressKind::Unspecified),
        ("0.1.2.3", AddressKind::Unspecified),
        ("::", AddressKind::Unspecified),
        ("::ffff:127.0.0.1", AddressKind::Embedded),
        ("::ffff:8.8.8.8", AddressKind::Embedded),
        ("::127.0.0.1", AddressKind::Embedded),
        ("2002:7f00:1::1", AddressKind::Embedded),
        ("64:ff9b::7f00:1", AddressKind::Embedded),
        ("64:ff9b:1::7f00:1", AddressKind::Embedded),
        ("2001::1", AddressKind::Embedded),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", AddressKind::Embedded),
        ("2606:4700::5efe:7f00:1", AddressKind::Embedded),
        ("2606:4700::200:5efe:7f00:1", AddressKind::Embedded),
        ("192.0.0.1", AddressKind::Reserved),
        ("192.0.2.1", AddressKind::Reserved),
        ("192.88.99.1", AddressKind::Reserved),
        ("198.18.0.1", AddressKind::Reserved),
        ("198.51.100.1", AddressKind::Reserved),
        ("203.0.113.1", AddressKind::Reserved),
        ("240.0.0.1", AddressKind::Reserved),
        ("255.255.255.255", AddressKind::Reserved),
        ("2001:db8::1", AddressKind::Reserved),
        ("2001:20::1", AddressKind::Reserved),
        ("3fff::1", AddressKind::Reserved),
        ("5f00::1", AddressKind::Reserved),
        ("100::1", AddressKind::Reserved),
        ("4000::1", AddressKind::Reserved),
    ];
    for (text, expected) in table {
        assert_eq!(kind(text), expected, "{text}");
    }
}

#[test]
fn the_neighbours_of_every_special_network_are_public() {
    let public = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2606:4700:4700::1111",
        "3ffe::1",
    ];
    for text in public {
        assert_eq!(kind(text), AddressKind::Public, "{text}");
    }
}
