//! Where a byte of a text is, in the terms of a person with an editor.

use std::fmt;

/// A place in a text, for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// From 1; a line ends at `\n`.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
}

impl Position {
    /// The place of the byte at `offset`; past the end, the end.
    pub(super) fn of(sql: &str, offset: usize) -> Self {
        let mut position = Position { line: 1, column: 1 };
        for (at, character) in sql.char_indices() {
            if at >= offset {
                break;
            }
            if character == '\n' {
                position = Position {
                    line: position.line + 1,
                    column: 1,
                };
            } else {
                position.column += 1;
            }
        }
        position
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A piece of the text for an error message: at most 40 characters of it.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_count_from_one() {
        let text = "a\nяб c\n";
        for (offset, line, column) in [
            (0, 1, 1),
            (1, 1, 2),
            (2, 2, 1),
            (4, 2, 2),
            (7, 2, 4),
            (9, 3, 1),
            (99, 3, 1),
        ] {
            assert_eq!(
                Position::of(text, offset),
                Position { line, column },
                "byte {offset}"
            );
        }
    }

    #[test]
    fn a_long_excerpt_is_cut_between_characters() {
        assert_eq!(excerpt("?1"), "?1");
        assert_eq!(excerpt(&"я".repeat(41)), format!("{}…", "я".repeat(40)));
    }
}
