//! Text that comes in pieces, cut into statements and commands.

use quorate::Database;

/// What is run as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One statement, without its `;`.
    Statement(String),
    /// A line that begins with a dot, without the dot.
    Command(String),
}

/// The text that has come and has not been run.
#[derive(Debug)]
pub(crate) struct Input {
    database: Database,
    text: String,
    /// Where what has not been taken begins.
    start: usize,
    /// The number of the line that `start` is in.
    line: usize,
    has_ended: bool,
}

impl Input {
    pub(crate) fn new(database: Database) -> Input {
        Input {
            database,
            text: String::new(),
            start: 0,
            line: 1,
            has_ended: false,
        }
    }

    /// Takes further text.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.drain(..self.start);
        self.start = 0;
        self.text.push_str(text);
    }

    /// Says that no further text comes: what is left is a statement, whether a `;` ends it or not.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Drops what has not been taken.
    pub(crate) fn clear(&mut self) {
        self.take(self.text.len() - self.start);
    }

    /// The text that has not been taken, without the blanks around it.
    pub(crate) fn rest(&self) -> &str {
        self.text[self.start..].trim()
    }

    /// The next statement or command and the line that it begins in; `None` where more text is needed, or there is
    /// none.
    pub(crate) fn next(&mut self) -> Option<(Piece, usize)> {
        loop {
            self.skip(|c| c.is_whitespace() || c == ';' || c == '\u{feff}');
            let rest = &self.text[self.start..];
            if rest.starts_with('.') || rest.starts_with("--") {
                let end = match rest.find('\n') {
                    Some(end) => end,
                    None if self.has_ended => rest.len(),
                    None => return None,
                };
                let line = self.line;
                let text = self.take(end);
                if let Some(command) = text.strip_prefix('.') {
                    let command = command.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
                    return Some((Piece::Command(command.to_owned()), line));
                }
                continue;
            }
            let (statement, behind) = self.database.first_statement(rest)?;
            let end = match behind {
                Some(behind) => rest.len() - behind.len(),
                None if self.has_ended => rest.len(),
                None => return None,
            };
            // A statement is a slice of the text; comments may stand before it.
            let before = statement.as_ptr() as usize - rest.as_ptr() as usize;
            let line = self.line + newlines(&rest[..before]);
            let statement = statement.to_owned();
            self.take(end);
            return Some((Piece::Statement(statement), line));
        }
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = &self.text[self.start..];
        let end = rest.find(|c| !skipped(c)).unwrap_or(rest.len());
        self.take(end);
    }

    /// Takes so many bytes.
    fn take(&mut self, bytes: usize) -> &str {
        let taken = self.start..self.start + bytes;
        self.start = taken.end;
        let text = &self.text[taken];
        self.line += newlines(text);
        text
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str, line: usize) -> (Piece, usize) {
        (Piece::Statement(text.into()), line)
    }

    fn command(text: &str, line: usize) -> (Piece, usize) {
        (Piece::Command(text.into()), line)
    }

    fn all(input: &mut Input) -> Vec<(Piece, usize)> {
        std::iter::from_fn(|| input.next()).collect()
    }

    #[test]
    fn a_text_is_cut_alike_however_it_comes() {
        let text = "\u{feff}-- one; .two\nselect ';',\n 1; ; insert -- ;\n into t;.help now;\n\
                    /* ; */ create trigger t begin x; end;\n .tables\nselect 'ю;\n.no'";
        let expected = [
            statement("select ';',\n 1", 2),
            statement("insert -- ;\n into t", 3),
            command("help now", 4),
            statement("create trigger t begin x; end", 5),
            command("tables", 6),
            statement("select 'ю;\n.no'", 7),
        ];
        let mut input = Input::new(Database::Dqlite);
        input.push(text);
        input.end();
        assert_eq!(all(&mut input), expected);

        let mut input = Input::new(Database::Dqlite);
        let mut found = Vec::new();
        for character in text.chars() {
            input.push(character.encode_utf8(&mut [0; 4]));
            found.extend(all(&mut input));
        }
        assert_eq!(found, expected[..5], "the last one has not ended");
        input.end();
        found.extend(all(&mut input));
        assert_eq!(found, expected);
        assert_eq!(input.rest(), "");
    }

    #[test]
    fn what_has_not_ended_can_be_dropped() {
        let mut input = Input::new(Database::Picodata);
        input.push("select $$;\n");
        assert_eq!(input.next(), None);
        assert_eq!(input.rest(), "select $$;");
        input.clear();
        input.push("select 1;\n");
        assert_eq!(input.next(), Some(statement("select 1", 2)));
        assert_eq!(input.rest(), "");
    }
}
