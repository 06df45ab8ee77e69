//! What a server says of the columns of a text that it was given to run: their names, and the numbers of their types.

use crate::error::{Error, ErrorKind, Result};

/// A column of a RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// The number of its type.
    pub(crate) oid: u32,
}

/// Reads the body of a RowDescription (PostgreSQL's manual, "Message Formats"): a count, then for each column the name,
/// its table (32 bits) and place there (16), the type (32), its size (16) and modifier (32), and the format (16).
///
/// # Errors
///
/// [`ErrorKind::Protocol`]: it is cut, or longer than its columns.
pub(crate) fn columns(body: &[u8]) -> Result<Vec<Described>> {
    read(body).ok_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            "the server describes columns in a way that is not understood",
        )
    })
}

fn read(body: &[u8]) -> Option<Vec<Described>> {
    let (count, mut rest) = body.split_first_chunk()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (name, after) = rest.split_at(end);
        let (fixed, after) = after.split_first_chunk::<19>()?;
        let [_, _, _, _, _, _, _, a, b, c, d, ..] = *fixed;
        columns.push(Described {
            name: String::from_utf8_lossy(name).into_owned(),
            oid: u32::from_be_bytes([a, b, c, d]),
        });
        rest = after;
    }
    rest.is_empty().then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_read_and_what_is_cut_is_refused() {
        let mut body = vec![0, 2];
        for (name, oid) in [("id", 23_u32), ("", 0x0001_0203)] {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&[0, 9, 9, 9, 9, 8, 8]);
            body.extend_from_slice(&oid.to_be_bytes());
            body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 1]);
        }
        let column = |name: &str, oid| Described {
            name: name.to_owned(),
            oid,
        };
        let expected = [column("id", 23), column("", 0x0001_0203)];
        assert_eq!(columns(&body).unwrap(), expected);
        for cut in 0..body.len() {
            let error = columns(&body[..cut]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "cut at {cut}");
        }
        body.push(0);
        assert!(columns(&body).is_err());
        assert_eq!(columns(&[0, 0]).unwrap(), []);
    }
}
