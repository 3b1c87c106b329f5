use super::*;

#[test]
fn an_address_for_all_interfaces_or_any_port_is_no_address_for_others() {
    for good in ["/ip4/10.0.0.7/tcp/7700", "/ip6/2001:db8::7/udp/7700/quic-v1", "/ip4/127.0.0.1/tcp/1"] {
        assert!(can_be_reached(good), "{good}");
    }
    for bad in ["/ip4/0.0.0.0/tcp/7700", "/ip6/::/tcp/7700", "/ip4/10.0.0.7/tcp/0", "/dns4/a/tcp/1", "x"] {
        assert!(!can_be_reached(bad), "{bad}");
    }
}
