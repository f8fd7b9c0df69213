//! What the kernel keeps for the connections of this machine.

use std::fs;
use std::io;

/// Bytes that were written to the end of an IPv4 connection at the port `from` and that its other end, at the port `to`, has not
/// acknowledged (`tx_queue` in `/proc/net/tcp`, proc(5)): what is on its way, and what waits to be sent. Nothing where there is no
/// such connection.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn unsent_bytes(from: u16, to: u16) -> io::Result<Option<u64>> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let mut ends = table.lines().filter_map(End::of);
    Ok(ends.find(|end| (end.from, end.to) == (from, to)).map(|end| end.unsent))
}

/// The same of all connections from one port to any of several, together.
///
/// # Errors
/// As [`unsent_bytes`].
pub fn unsent_from(from: u16, to: &[u16]) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let ends = table.lines().filter_map(End::of);
    let theirs = ends.filter(|end| end.from == from && to.contains(&end.to));
    Ok(theirs.map(|end| end.unsent).fold(0, u64::saturating_add))
}

/// One end of a connection, as a line of the table tells it.
struct End {
    from: u16,
    to: u16,
    unsent: u64,
}

impl End {
    /// Nothing for the line of headings.
    fn of(line: &str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
        let (from, to) = (port(columns.next()?)?, port(columns.next()?)?);
        let (unsent, _unread) = columns.nth(1)?.split_once(':')?;
        Some(Self { from, to, unsent: u64::from_str_radix(unsent, 16).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_nobody_has_taken_is_counted_for_its_own_connection_and_direction() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut writer, _) = listener.accept().unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (from, to) = (listener.local_addr().unwrap().port(), reader.local_addr().unwrap().port());
        assert_eq!(unsent_bytes(from, to).unwrap(), Some(0));
        writer.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(more) = writer.write(&[7; 65_536]) {
            written += more;
        }
        let unsent = unsent_bytes(from, to).unwrap().unwrap();
        assert!((1..=u64::try_from(written).unwrap()).contains(&unsent), "{unsent} of {written}");
        assert_eq!(unsent_bytes(to, from).unwrap(), Some(0), "the other way nothing was sent");
        assert_eq!(unsent_bytes(from, other.local_addr().unwrap().port()).unwrap(), Some(0));
        assert_eq!(unsent_bytes(from, from).unwrap(), None);
        let others = other.local_addr().unwrap().port();
        // What is on its way arrives between two looks, and nothing is added.
        let together = unsent_from(from, &[to, others]).unwrap();
        let later = unsent_bytes(from, to).unwrap().unwrap();
        assert!((later..=unsent).contains(&together) && later > 0, "{together} of {unsent}, then {later}");
        assert_eq!(unsent_from(from, &[others]).unwrap(), 0);
    }
}
