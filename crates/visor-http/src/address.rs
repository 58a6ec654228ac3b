//! Where a server listens, and how it begins to.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::Limits;

/// Connections that the system has accepted, and the program hasn't yet.
const BACKLOG: i32 = 1024;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenAddress {
    /// At one address of the host; at all of its family, if it is the unspecified one.
    One(SocketAddr),
    /// At every address of the host, of IPv6 and of IPv4, as far as it has them: `:9464`.
    Every {
        /// The port.
        port: u16,
    },
}

/// A text that says of no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseListenAddressError;

impl fmt::Display for ParseListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write an address and a port, such as 127.0.0.1:9464 or [::1]:9464, or a port of all addresses, such as :9464")
    }
}

impl std::error::Error for ParseListenAddressError {}

impl FromStr for ListenAddress {
    type Err = ParseListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(':') {
            Some(port) => port.parse().map(|port| Self::Every { port }).ok(),
            None => text.parse().map(Self::One).ok(),
        }
        .ok_or(ParseListenAddressError)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(f),
            Self::Every { port } => write!(f, ":{port}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::One(address)
    }
}

/// Listens, with buffers of the system that are no larger than the limits say.
///
/// # Errors
///
/// When it can't listen there.
pub fn bind(address: ListenAddress, limits: &Limits) -> io::Result<TcpListener> {
    match address {
        ListenAddress::One(address) => bind_one(address, None, limits),
        ListenAddress::Every { port } => {
            let both = bind_one((Ipv6Addr::UNSPECIFIED, port).into(), Some(false), limits);
            match both {
                // What a host without IPv6 says: of the socket, or of its address.
                Err(error) if is_without_ipv6(&error) => {
                    bind_one((Ipv4Addr::UNSPECIFIED, port).into(), None, limits)
                }
                both => both,
            }
        }
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == ErrorKind::AddrNotAvailable
}

fn bind_one(
    address: SocketAddr,
    only_ipv6: Option<bool>,
    limits: &Limits,
) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(only) = only_ipv6 {
        socket.set_only_v6(only)?;
    }
    socket.set_reuse_address(true)?;
    // What is accepted has the same.
    socket.set_recv_buffer_size(limits.socket_buffer as usize)?;
    socket.set_send_buffer_size(limits.socket_buffer as usize)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[test]
    fn an_address_is_that_of_one_interface_or_a_port_of_all() {
        for text in ["127.0.0.1:9464", "[::1]:9464", "0.0.0.0:0", ":9464"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["", ":", ":65536", ":-1", "9464", "localhost:9464", "::9464", "127.0.0.1"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(ParseListenAddressError), "{text}");
        }
    }

    #[tokio::test]
    async fn every_address_is_one_of_both_families() {
        let listener = bind(ListenAddress::Every { port: 0 }, &Limits::PAGES).unwrap();
        let port = listener.local_addr().unwrap().port();
        let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        assert!(four.is_ok(), "{four:?}");
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
        assert_eq!(six.is_ok(), has_ipv6, "{six:?}");
    }

    #[test]
    fn what_a_host_without_ipv6_says_is_known() {
        for number in [97, 99] {
            assert!(is_without_ipv6(&io::Error::from_raw_os_error(number)));
        }
        assert!(!is_without_ipv6(&io::Error::from(ErrorKind::AddrInUse)));
    }
}
