//! The address at the other end of the connection.

use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address of the connection's other end, for servers that are not axum: insert it into the request's extensions in the
/// service that accepts connections. In axum, `into_make_service_with_connect_info::<SocketAddr>()` does the same.
///
/// # Security
/// Insert what the socket says, never what a header says: a caller writes headers freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

pub(crate) fn peer_addr(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddr(address)) = extensions.get() {
        return Some(address.ip());
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) =
        extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()
    {
        return Some(address.ip());
    }
    None
}
