//! The text of a YAML node list: a sequence of maps with `ID`, `Address` and `Role`.
//!
//! go-dqlite 3 writes the keys in that order, 1.11 in alphabetical order and reads them in any case of letters.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::super::{NodeInfo, NodeRole, unknown_role, without_duplicates};

/// Why a text is no list of nodes.
#[derive(Debug)]
pub(super) struct Problem {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) source: Option<ScanError>,
}

type Result<T> = std::result::Result<T, Problem>;

fn problem<T>(line: usize, message: impl Into<String>) -> Result<T> {
    Err(Problem {
        line,
        message: message.into(),
        source: None,
    })
}

/// Reads a list of nodes. A text without a document, and a document that is null, are empty lists.
pub(super) fn decode(text: &str) -> Result<Vec<NodeInfo>> {
    let mut events = Events {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
    };
    let mut nodes = Vec::new();
    let mut documents = 0;
    loop {
        match events.next()? {
            (Event::StreamEnd, _) => return Ok(without_duplicates(nodes)),
            (Event::DocumentStart(_), line) => {
                documents += 1;
                if documents > 1 {
                    return problem(line, "a second document begins here; keep one list");
                }
            }
            (Event::SequenceStart(..), _) => events.nodes(&mut nodes)?,
            (Event::Scalar(text, style, ..), _) if is_null(&text, style) => {}
            (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
            (event, line) => {
                return problem(
                    line,
                    format!("expected a list of nodes, found {}", kind_of(&event)),
                );
            }
        }
    }
}

/// Writes a list of nodes in the layout of go-dqlite 3.
pub(super) fn encode(nodes: &[NodeInfo]) -> String {
    nodes
        .iter()
        .map(|node| {
            format!(
                "- ID: {}\n  Address: {}\n  Role: {}\n",
                node.id,
                scalar(&node.address),
                u64::from(node.role)
            )
        })
        .collect()
}

/// `text` as a scalar that YAML 1.1 and 1.2 both read as a string: a common `host:port` as it is, anything
/// else in double quotes and ASCII.
///
/// A host of digits alone is quoted because YAML 1.1 reads `10:20` as a number to the base of 60.
fn scalar(text: &str) -> Cow<'_, str> {
    let plain = text.rsplit_once(':').is_some_and(|(host, port)| {
        host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            && host.contains(|c: char| c == '.' || c.is_ascii_alphabetic())
            && !port.is_empty()
            && port.chars().all(|c| c.is_ascii_digit())
    });
    if plain {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

struct Events<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(Problem {
                line: error.marker().line(),
                message: error.info().to_owned(),
                source: Some(error),
            }),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// Reads up to the end of the sequence that has begun.
    fn nodes(&mut self, nodes: &mut Vec<NodeInfo>) -> Result<()> {
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(()),
                (Event::MappingStart(..), line) => nodes.push(self.node(line)?),
                (event, line) => {
                    return problem(
                        line,
                        format!(
                            "expected a node, a map with ID, Address and Role, found {}",
                            kind_of(&event)
                        ),
                    );
                }
            }
        }
    }

    /// Reads up to the end of the map that has begun on `first_line`.
    fn node(&mut self, first_line: usize) -> Result<NodeInfo> {
        let (mut id, mut address, mut role) = (None, None, None);
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(key, ..), line) => (key, line),
                (event, _) => {
                    self.skip(event)?;
                    let (value, _) = self.next()?;
                    self.skip(value)?;
                    continue;
                }
            };
            let twice = if key.eq_ignore_ascii_case("ID") {
                id.replace(self.number("ID")?).is_some()
            } else if key.eq_ignore_ascii_case("Address") {
                address.replace(self.address()?).is_some()
            } else if key.eq_ignore_ascii_case("Role") {
                role.replace(self.role()?).is_some()
            } else {
                let (value, _) = self.next()?;
                self.skip(value)?;
                false
            };
            if twice {
                return problem(line, format!("the node has {key} twice; keep one"));
            }
        }
        match address {
            Some(address) => Ok(NodeInfo {
                id: id.unwrap_or(0),
                address,
                role: role.unwrap_or_default(),
            }),
            None => problem(first_line, "the node has no Address; give it one"),
        }
    }

    fn address(&mut self) -> Result<String> {
        match self.next()? {
            (Event::Scalar(text, style, ..), _) if !text.is_empty() && !is_null(&text, style) => {
                Ok(text.into_owned())
            }
            (event, line) => problem(
                line,
                format!(
                    "Address has to be a text such as 10.0.0.1:9001, found {}",
                    kind_of(&event)
                ),
            ),
        }
    }

    fn role(&mut self) -> Result<NodeRole> {
        let (number, line) = self.number_at("Role")?;
        NodeRole::try_from(number).or_else(|_| problem(line, unknown_role(number)))
    }

    fn number(&mut self, key: &str) -> Result<u64> {
        self.number_at(key).map(|(number, _)| number)
    }

    /// Reads a number and says its line; null is 0, as go-dqlite reads it.
    fn number_at(&mut self, key: &str) -> Result<(u64, usize)> {
        match self.next()? {
            (Event::Scalar(text, style, ..), line) if is_null(&text, style) => Ok((0, line)),
            (Event::Scalar(text, ScalarStyle::Plain, ..), line) => match parse_number(&text) {
                Some(number) => Ok((number, line)),
                None => problem(
                    line,
                    format!(
                        "{key} has to be a whole number from 0 to {}, found {text:?}",
                        u64::MAX
                    ),
                ),
            },
            (event, line) => problem(
                line,
                format!(
                    "{key} has to be a whole number without quotes, found {}",
                    kind_of(&event)
                ),
            ),
        }
    }

    /// Passes over the node of the document that `first` begins, however deep it is.
    fn skip(&mut self, first: Event<'a>) -> Result<()> {
        let mut depth = 0_usize;
        let mut event = first;
        loop {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
            event = self.next()?.0;
        }
    }
}

/// A decimal or `0x` number. A leading zero is refused: YAML 1.1 reads such a number as octal, 1.2 as decimal.
fn parse_number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return match digits.starts_with('+') {
            true => None,
            false => u64::from_str_radix(digits, 16).ok(),
        };
    }
    if text.starts_with('+') || (text.starts_with('0') && text.len() > 1) {
        return None;
    }
    text.parse().ok()
}

fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn kind_of(event: &Event<'_>) -> &'static str {
    match event {
        Event::Scalar(text, style, ..) if is_null(text, *style) => "nothing",
        Event::Scalar(text, ..) if text.is_empty() => "an empty text",
        Event::Scalar(_, ScalarStyle::Plain, ..) => "a plain text",
        Event::Scalar(..) => "a quoted text",
        Event::SequenceStart(..) => "a list",
        Event::MappingStart(..) => "a map",
        Event::Alias(_) => "an alias (write its value out)",
        _ => "the end of the text",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::node;
    use super::*;

    /// Written by go-dqlite 3.
    const GO_DQLITE_3: &str = r#"- ID: 3297041220608546238
  Address: 127.0.0.1:9001
  Role: 0
- ID: 18446744073709551615
  Address: node-2.example:9001
  Role: 1
- ID: 3
  Address: '@abstract'
  Role: 2
- ID: 4
  Address: '[::1]:9001'
  Role: 0
- ID: 5
  Address: "10:20"
  Role: 0
- ID: 6
  Address: "a: \"b\" #c'\\é\x01"
  Role: 0
- ID: 7
  Address: "12345"
  Role: 0
- ID: 8
  Address: "true"
  Role: 0
"#;

    /// The first three of the same nodes, written by go-dqlite 1.11.5.
    const GO_DQLITE_1_11: &str = "- Address: 127.0.0.1:9001\n  ID: 3297041220608546238\n  Role: 0\n\
        - Address: node-2.example:9001\n  ID: 18446744073709551615\n  Role: 1\n\
        - Address: '@abstract'\n  ID: 3\n  Role: 2\n";

    fn nodes() -> Vec<NodeInfo> {
        vec![
            node(0x2dc1_7185_8c31_55be, "127.0.0.1:9001", NodeRole::Voter),
            node(u64::MAX, "node-2.example:9001", NodeRole::StandBy),
            node(3, "@abstract", NodeRole::Spare),
            node(4, "[::1]:9001", NodeRole::Voter),
            node(5, "10:20", NodeRole::Voter),
            node(6, "a: \"b\" #c'\\é\u{1}", NodeRole::Voter),
            node(7, "12345", NodeRole::Voter),
            node(8, "true", NodeRole::Voter),
        ]
    }

    #[test]
    fn what_go_dqlite_wrote_is_read() {
        assert_eq!(decode(GO_DQLITE_3).unwrap(), nodes());
        assert_eq!(decode(GO_DQLITE_1_11).unwrap(), nodes()[..3]);
        assert_eq!(decode("[]\n").unwrap(), []);
    }

    #[test]
    fn common_addresses_are_written_as_go_dqlite_3_writes_them() {
        let end = GO_DQLITE_3.find("- ID: 3\n").unwrap();
        assert_eq!(encode(&nodes()[..2]), GO_DQLITE_3[..end]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut all = nodes();
        for address in [
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "😀:1",
            " a:1 ",
            "-",
            "#",
            "a:b:1",
            "1.5:20",
            "~",
            "é.example:1",
            "\t",
            "line\nbreak",
            "1:2:3",
            ":1",
            "a:",
            "%",
            "{",
            "'",
            "\u{feff}",
        ] {
            all.push(node(9, address, NodeRole::Spare));
        }
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn any_legal_spelling_is_read() {
        let expected = [node(16, "a b:1", NodeRole::StandBy)];
        for text in [
            "- {ID: 16, Address: 'a b:1', Role: 1}",
            "---\n- Role: 1\n  Address: \"a\\x20b:1\"\n  ID: 0x10\n...\n",
            "[{\"ID\": 16, \"Address\": \"a b:1\", \"Role\": 1}]",
            "- id: 16 # a comment\n  address: >-\n    a\n    b:1\n  role: 1\n",
            "- ID: 16\n  Address: a b:1\n  Role: 1\n  Zone: {a: [1, {b: 2}]}\n  ? [x, y]\n  : z\n",
            "\u{feff}- ID: 16\r\n  Address: a b:1\r\n  Role: 1\r\n",
        ] {
            assert_eq!(decode(text).unwrap(), expected, "{text}");
        }
        assert_eq!(
            decode("- Address: a:1\n- {ID: ~, Address: b:1, Role: }\n- Address: a:1\n").unwrap(),
            [
                node(0, "a:1", NodeRole::Voter),
                node(0, "b:1", NodeRole::Voter)
            ]
        );
        for empty in ["", "\n", "# nothing yet\n", "---\n", "null\n", "~", "[]"] {
            assert_eq!(decode(empty).unwrap(), [], "{empty:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_nodes_is_refused_with_its_line() {
        for (text, line, message) in [
            (
                "ID: 1\nAddress: a:1\n",
                1,
                "expected a list of nodes, found a map",
            ),
            (
                "\n'a:1'\n",
                2,
                "expected a list of nodes, found a quoted text",
            ),
            ("- a:1\n", 1, "expected a node"),
            ("- Address: a:1\n-\n", 2, "found nothing"),
            ("- - Address: a:1\n", 1, "found a list"),
            ("- Address: a:1\n- ID: 2\n", 2, "the node has no Address"),
            ("- Address:\n  ID: 2\n", 1, "Address has to be a text"),
            ("- ID: 2\n  Address: ''\n", 2, "found an empty text"),
            ("- ID: 2\n  Address: [a]\n", 2, "found a list"),
            (
                "- Address: a:1\n  ID: one\n",
                2,
                "ID has to be a whole number from 0 to 18446744073709551615, found \"one\"",
            ),
            (
                "- Address: a:1\n  ID: '1'\n",
                2,
                "ID has to be a whole number without quotes",
            ),
            ("- Address: a:1\n  ID: -1\n", 2, "found \"-1\""),
            (
                "- Address: a:1\n  ID: 18446744073709551616\n",
                2,
                "whole number",
            ),
            ("- Address: a:1\n  Role: 010\n", 2, "whole number"),
            ("- Address: a:1\n  Role: 0x+1\n", 2, "whole number"),
            ("- Address: a:1\n  Role: voter\n", 2, "found \"voter\""),
            ("- Address: a:1\n\n  Role: 3\n", 3, "role 3 is unknown"),
            ("- Address: a:1\n  Address: b:1\n", 2, "Address twice"),
            ("- &x a:1\n", 1, "expected a node"),
            ("- Address: &x a:1\n- Address: *x\n", 2, "an alias"),
            (
                "- Address: a:1\n---\n- Address: b:1\n",
                2,
                "second document",
            ),
        ] {
            let problem = decode(text).unwrap_err();
            assert_eq!(problem.line, line, "{text:?}: {problem:?}");
            assert!(problem.message.contains(message), "{text:?}: {problem:?}");
        }
        for torn in [
            "- {ID: 1, Addr",
            "- Address: \"a",
            "- Address: a:1\n bad\n  x",
            "- *y",
        ] {
            assert!(decode(torn).unwrap_err().source.is_some(), "{torn:?}");
        }
    }

    #[test]
    fn no_text_makes_the_decoder_panic_or_hang() {
        for end in (0..GO_DQLITE_3.len()).filter(|&end| GO_DQLITE_3.is_char_boundary(end)) {
            let _ = decode(&GO_DQLITE_3[..end]);
        }
        let mut random = fastrand::Rng::with_seed(7);
        let marks = b"\n\t -:?[]{},&*!|>'\"%@`#\\\0.~0x";
        for _ in 0..20_000 {
            let mut text = GO_DQLITE_3.as_bytes().to_vec();
            for _ in 0..random.usize(1..6) {
                let place = random.usize(..text.len());
                text[place] = marks[random.usize(..marks.len())];
            }
            let _ = decode(&String::from_utf8_lossy(&text));
        }
        for deep in ["[", "{a: ", "- ", "? ", "[{a: ["] {
            let _ = decode(&deep.repeat(20_000));
            let _ = decode(&format!("- x: {}", deep.repeat(20_000)));
        }
    }
}
