//! The address on which a server listens.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::Limits;

/// The backlog of connections that the program hasn't accepted yet.
const BACKLOG: i32 = 1024;

/// The address on which a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenAddress {
    /// One address of the host; all of its family if it is the unspecified one.
    One(SocketAddr),
    /// Every address of the host, IPv6 and IPv4: `:9464`.
    Every {
        /// The port.
        port: u16,
    },
}

/// A string that isn't an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseListenAddressError;

impl fmt::Display for ParseListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address and a port, such as 127.0.0.1:9464 or [::1]:9464, or only a port, such as :9464, for all addresses")
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

/// Takes datagrams, with a receive buffer of this many bytes.
///
/// # Errors
///
/// When it can't have the address.
pub fn bind_datagrams(address: ListenAddress, buffer: usize) -> io::Result<UdpSocket> {
    let bind = |address: SocketAddr, only_ipv6: Option<bool>| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if let Some(only) = only_ipv6 {
            socket.set_only_v6(only)?;
        }
        socket.set_recv_buffer_size(buffer)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    };
    match address {
        ListenAddress::One(address) => bind(address, None),
        ListenAddress::Every { port } => {
            match bind((Ipv6Addr::UNSPECIFIED, port).into(), Some(false)) {
                Err(error) if is_without_ipv6(&error) => {
                    bind((Ipv4Addr::UNSPECIFIED, port).into(), None)
                }
                both => both,
            }
        }
    }
}

/// Listens, with socket buffers of the sizes in the limits.
///
/// # Errors
///
/// When it can't listen on the address.
pub fn bind(address: ListenAddress, limits: &Limits) -> io::Result<TcpListener> {
    match address {
        ListenAddress::One(address) => bind_one(address, None, limits),
        ListenAddress::Every { port } => {
            let both = bind_one((Ipv6Addr::UNSPECIFIED, port).into(), Some(false), limits);
            match both {
                // The errors of a host without IPv6: for the socket, or for its address.
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
    // Accepted connections inherit them.
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
    fn an_address_is_one_or_all_addresses_and_a_port() {
        for text in ["127.0.0.1:9464", "[::1]:9464", "0.0.0.0:0", ":9464"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["", ":", ":65536", ":-1", "9464", "localhost:9464", "::9464", "127.0.0.1"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(ParseListenAddressError), "{text}");
        }
    }

    #[tokio::test]
    async fn all_addresses_are_of_both_families() {
        let listener = bind(ListenAddress::Every { port: 0 }, &Limits::PAGES).unwrap();
        let port = listener.local_addr().unwrap().port();
        let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        assert!(four.is_ok(), "{four:?}");
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
        assert_eq!(six.is_ok(), has_ipv6, "{six:?}");
    }

    #[test]
    fn the_errors_of_a_host_without_ipv6_are_recognized() {
        for number in [97, 99] {
            assert!(is_without_ipv6(&io::Error::from_raw_os_error(number)));
        }
        assert!(!is_without_ipv6(&io::Error::from(ErrorKind::AddrInUse)));
    }
}
