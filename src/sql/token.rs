//! Tokens: what a text is made of, by each dialect's lexical rules, without white space and comments.
//!
//! Sources: SQLite's tokenize.c (3.50) and <https://sqlite.org/lang_expr.html>, "Variables"; PostgreSQL's manual,
//! "Lexical Structure", and its scan.l. An operator of several characters comes as several tokens except where
//! that would lose something: no question asked here depends on the others.

use super::Dialect;
use super::lexeme::{self, Dollar, byte, is_space, is_word_byte, is_word_start};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or an unquoted identifier.
    Word,
    /// An identifier in quotes: `"…"`, and for SQLite `` `…` `` and `[…]`.
    QuotedName,
    /// A string or blob literal, with its prefix.
    Text,
    /// A number.
    Number,
    /// A parameter of the server's own style: SQLite's `?`, `?NNN`, `:name`, `@name`, `$name`, `#name`;
    /// PostgreSQL's `$n`.
    Parameter,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[` in PostgreSQL.
    OpenBracket,
    /// `]` in PostgreSQL.
    CloseBracket,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `;`
    Semicolon,
    /// One byte of an operator, or PostgreSQL's `::` and `:=` whole.
    Operator,
    /// What no rule allows: a literal that never ends, a sigil without a name, a stray byte.
    Illegal,
}

/// A token and its place, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// The token's text within `sql`, the text it was cut from.
    pub(super) fn text(self, sql: &str) -> &str {
        sql.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether the token is the unquoted word `word`, in any case.
    pub(super) fn is_word(self, sql: &str, word: &str) -> bool {
        self.kind == TokenKind::Word
            && self.end - self.start == word.len()
            && self.text(sql).eq_ignore_ascii_case(word)
    }
}

/// The tokens of a text, in order. White space and comments are passed over.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(sql: &'a str, dialect: Dialect) -> Self {
        Tokens {
            text: sql.as_bytes(),
            at: 0,
            dialect,
        }
    }

    /// Moves past white space and comments.
    #[inline]
    fn skip_trivia(&mut self) {
        let postgres = self.dialect == Dialect::Postgres;
        while let Some(&first) = self.text.get(self.at) {
            let next = byte(self.text, self.at + 1);
            self.at = match first {
                b' ' | b'\n' | b'\t' | b'\r' | b'\x0c' => self.at + 1,
                b'\x0b' if postgres || self.follows_space() => self.at + 1,
                b'-' if next == b'-' => lexeme::line_comment(self.text, self.at, postgres),
                // SQLite reads a `/*` that ends the text as two operators.
                b'/' if next == b'*' && (postgres || self.at + 2 < self.text.len()) => {
                    lexeme::block_comment(self.text, self.at, postgres)
                }
                // A byte order mark is white space wherever SQLite expects a token.
                0xef if !postgres && next == 0xbb && byte(self.text, self.at + 2) == 0xbf => {
                    self.at + 3
                }
                _ => return,
            };
        }
    }

    /// Whether the byte before the current one is white space.
    fn follows_space(&self) -> bool {
        self.at
            .checked_sub(1)
            .is_some_and(|before| is_space(byte(self.text, before)))
    }

    /// The kind of the token that begins with `first` at the current offset, and where it ends.
    #[inline]
    fn cut(&self, first: u8) -> (TokenKind, usize) {
        let (text, at) = (self.text, self.at);
        let postgres = self.dialect == Dialect::Postgres;
        let next = byte(text, at + 1);
        match first {
            b'\'' => self.literal(TokenKind::Text, lexeme::quoted(text, at + 1, b'\'')),
            b'e' | b'E' if postgres && next == b'\'' => {
                self.literal(TokenKind::Text, lexeme::escaped(text, at + 2))
            }
            b'u' | b'U' if postgres && next == b'&' => match byte(text, at + 2) {
                b'\'' => self.literal(TokenKind::Text, lexeme::quoted(text, at + 3, b'\'')),
                b'"' => self.literal(TokenKind::QuotedName, lexeme::quoted(text, at + 3, b'"')),
                _ => self.word(),
            },
            b'b' | b'B' | b'n' | b'N' if postgres && next == b'\'' => {
                self.literal(TokenKind::Text, lexeme::quoted(text, at + 2, b'\''))
            }
            b'x' | b'X' if next == b'\'' => {
                self.literal(TokenKind::Text, lexeme::plain(text, at + 2, b'\''))
            }
            first if is_word_start(first) => self.word(),
            b'0'..=b'9' => (TokenKind::Number, lexeme::number(text, at)),
            b'.' if next.is_ascii_digit() => (TokenKind::Number, lexeme::number(text, at)),
            b'.' => (TokenKind::Dot, at + 1),
            b',' => (TokenKind::Comma, at + 1),
            b'(' => (TokenKind::Open, at + 1),
            b')' => (TokenKind::Close, at + 1),
            b';' => (TokenKind::Semicolon, at + 1),
            b'"' => self.literal(TokenKind::QuotedName, lexeme::quoted(text, at + 1, b'"')),
            _ if postgres => self.postgres(first, next),
            _ => self.sqlite(first),
        }
    }

    fn word(&self) -> (TokenKind, usize) {
        (
            TokenKind::Word,
            lexeme::run(self.text, self.at + 1, is_word_byte),
        )
    }

    /// A literal that ends where `end` says; one that never ends reaches to the end of the text.
    fn literal(&self, kind: TokenKind, end: Option<usize>) -> (TokenKind, usize) {
        match end {
            Some(end) => (kind, end),
            None => (TokenKind::Illegal, self.text.len()),
        }
    }

    /// The tokens that begin in SQLite with a byte that means something else elsewhere.
    fn sqlite(&self, first: u8) -> (TokenKind, usize) {
        let (text, at) = (self.text, self.at);
        match first {
            b'?' => (
                TokenKind::Parameter,
                lexeme::run(text, at + 1, |byte| byte.is_ascii_digit()),
            ),
            b':' | b'@' | b'$' | b'#' => match lexeme::variable(text, at) {
                (end, true) => (TokenKind::Parameter, end),
                (end, false) => (TokenKind::Illegal, end),
            },
            b'`' => self.literal(TokenKind::QuotedName, lexeme::quoted(text, at + 1, b'`')),
            b'[' => self.literal(TokenKind::QuotedName, lexeme::plain(text, at + 1, b']')),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'~' | b'&' | b'|' => {
                (TokenKind::Operator, at + 1)
            }
            _ => (TokenKind::Illegal, at + 1),
        }
    }

    /// The tokens that begin in PostgreSQL with a byte that means something else elsewhere.
    fn postgres(&self, first: u8, next: u8) -> (TokenKind, usize) {
        let (text, at) = (self.text, self.at);
        match first {
            b'$' if next.is_ascii_digit() => (
                TokenKind::Parameter,
                lexeme::run(text, at + 1, |byte| byte.is_ascii_digit()),
            ),
            b'$' => match lexeme::dollar_quote(text, at) {
                Dollar::Quote(end) => (TokenKind::Text, end),
                Dollar::Unterminated => (TokenKind::Illegal, text.len()),
                Dollar::Alone => (TokenKind::Illegal, at + 1),
            },
            b'[' => (TokenKind::OpenBracket, at + 1),
            b']' => (TokenKind::CloseBracket, at + 1),
            b':' if matches!(next, b':' | b'=') => (TokenKind::Operator, at + 2),
            b':' | b'?' | b'@' | b'#' | b'`' | b'^' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<'
            | b'>' | b'=' | b'!' | b'~' | b'&' | b'|' => (TokenKind::Operator, at + 1),
            _ => (TokenKind::Illegal, at + 1),
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        self.skip_trivia();
        let start = self.at;
        let first = *self.text.get(start)?;
        let (kind, end) = self.cut(first);
        self.at = end;
        Some(Token { kind, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKind::*;
    use super::*;

    fn tokens(sql: &str, dialect: Dialect) -> Vec<(TokenKind, &str)> {
        Tokens::new(sql, dialect)
            .map(|token| (token.kind, token.text(sql)))
            .collect()
    }

    fn check(dialect: Dialect, cases: &[(&str, &[(TokenKind, &str)])]) {
        for (sql, expected) in cases {
            assert_eq!(tokens(sql, dialect), *expected, "{sql:?}");
        }
    }

    #[test]
    fn both_dialects_agree_on_the_common_tokens() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            check(
                dialect,
                &[
                    ("", &[]),
                    (" \t\r\n\x0c\x0b", &[]),
                    ("-- ; 'x", &[]),
                    ("-- a\nb -- c", &[(Word, "b")]),
                    ("/* ; ' */a/**/", &[(Word, "a")]),
                    ("a /* never ends ; '", &[(Word, "a")]),
                    ("/*/ a */b", &[(Word, "b")]),
                    ("'it''s -- /* ; '", &[(Text, "'it''s -- /* ; '")]),
                    ("'' 'a'", &[(Text, "''"), (Text, "'a'")]),
                    ("'\\'", &[(Text, "'\\'")]),
                    ("a 'b", &[(Word, "a"), (Illegal, "'b")]),
                    ("\"a\"\"; b\"", &[(QuotedName, "\"a\"\"; b\"")]),
                    ("\"a", &[(Illegal, "\"a")]),
                    ("x'0f'", &[(Text, "x'0f'")]),
                    ("x'0f''a'", &[(Text, "x'0f'"), (Text, "'a'")]),
                    ("X'0", &[(Illegal, "X'0")]),
                    ("a$b_1 я", &[(Word, "a$b_1"), (Word, "я")]),
                    ("a.b", &[(Word, "a"), (Dot, "."), (Word, "b")]),
                    (
                        "1.5e-3 .5 0xFf 1_0 7. 1e+",
                        &[
                            (Number, "1.5e-3"),
                            (Number, ".5"),
                            (Number, "0xFf"),
                            (Number, "1_0"),
                            (Number, "7."),
                            (Number, "1e"),
                            (Operator, "+"),
                        ],
                    ),
                    (
                        "(a,1);",
                        &[
                            (Open, "("),
                            (Word, "a"),
                            (Comma, ","),
                            (Number, "1"),
                            (Close, ")"),
                            (Semicolon, ";"),
                        ],
                    ),
                    ("1-1", &[(Number, "1"), (Operator, "-"), (Number, "1")]),
                    ("a\0b", &[(Word, "a"), (Illegal, "\0"), (Word, "b")]),
                ],
            );
        }
    }

    #[test]
    fn sqlites_own_tokens() {
        check(
            Dialect::Sqlite,
            &[
                (
                    "`a``;` [b;'] [c",
                    &[
                        (QuotedName, "`a``;`"),
                        (QuotedName, "[b;']"),
                        (Illegal, "[c"),
                    ],
                ),
                (
                    "? ?12 ?a",
                    &[
                        (Parameter, "?"),
                        (Parameter, "?12"),
                        (Parameter, "?"),
                        (Word, "a"),
                    ],
                ),
                (
                    ":a @b $c #d :1 :я",
                    &[
                        (Parameter, ":a"),
                        (Parameter, "@b"),
                        (Parameter, "$c"),
                        (Parameter, "#d"),
                        (Parameter, ":1"),
                        (Parameter, ":я"),
                    ],
                ),
                (
                    "$a::b(c;') @x(y) :z::",
                    &[
                        (Parameter, "$a::b(c;')"),
                        (Parameter, "@x(y)"),
                        (Parameter, ":z::"),
                    ],
                ),
                ("$a(b c", &[(Illegal, "$a(b"), (Word, "c")]),
                ("$a(b", &[(Illegal, "$a(b")]),
                (
                    ": $ @ #1",
                    &[
                        (Illegal, ":"),
                        (Illegal, "$"),
                        (Illegal, "@"),
                        (Illegal, "#1"),
                    ],
                ),
                (
                    "/* /* */ a */",
                    &[(Word, "a"), (Operator, "*"), (Operator, "/")],
                ),
                ("/*", &[(Operator, "/"), (Operator, "*")]),
                ("-- a\rb", &[]),
                ("\x0ba", &[(Illegal, "\x0b"), (Word, "a")]),
                (
                    "\u{feff}a \u{feff}b\u{feff}",
                    &[(Word, "a"), (Word, "b\u{feff}")],
                ),
                ("e'a'", &[(Word, "e"), (Text, "'a'")]),
                ("{\\", &[(Illegal, "{"), (Illegal, "\\")]),
            ],
        );
    }

    #[test]
    fn postgresqls_own_tokens() {
        check(
            Dialect::Postgres,
            &[
                ("E'a\\'b' e'\\\\'", &[(Text, "E'a\\'b'"), (Text, "e'\\\\'")]),
                ("E'a''b\\", &[(Illegal, "E'a''b\\")]),
                ("E'a'\n 'b\\'c'", &[(Text, "E'a'\n 'b\\'c'")]),
                (
                    "E'a' -- x\n--y'\n'b\\'c'",
                    &[(Text, "E'a' -- x\n--y'\n'b\\'c'")],
                ),
                ("E'a' 'b\\'", &[(Text, "E'a'"), (Text, "'b\\'")]),
                (
                    "U&'\\0061''' u&\"b\" u&c",
                    &[
                        (Text, "U&'\\0061'''"),
                        (QuotedName, "u&\"b\""),
                        (Word, "u"),
                        (Operator, "&"),
                        (Word, "c"),
                    ],
                ),
                ("b'01' N'a'", &[(Text, "b'01'"), (Text, "N'a'")]),
                (
                    "$$a;'$$ $t$ $$ $q$ $t$",
                    &[(Text, "$$a;'$$"), (Text, "$t$ $$ $q$ $t$")],
                ),
                ("$t$ $$", &[(Illegal, "$t$ $$")]),
                ("$я$x$я$", &[(Text, "$я$x$я$")]),
                ("a$$b$$", &[(Word, "a$$b$$")]),
                (
                    "$1 $23$$x$$ $a",
                    &[
                        (Parameter, "$1"),
                        (Parameter, "$23"),
                        (Text, "$$x$$"),
                        (Illegal, "$"),
                        (Word, "a"),
                    ],
                ),
                (
                    "a::int := b",
                    &[
                        (Word, "a"),
                        (Operator, "::"),
                        (Word, "int"),
                        (Operator, ":="),
                        (Word, "b"),
                    ],
                ),
                (
                    "a[1:2]",
                    &[
                        (Word, "a"),
                        (OpenBracket, "["),
                        (Number, "1"),
                        (Operator, ":"),
                        (Number, "2"),
                        (CloseBracket, "]"),
                    ],
                ),
                (
                    "a ? :b",
                    &[(Word, "a"), (Operator, "?"), (Operator, ":"), (Word, "b")],
                ),
                ("+-- c\n*/* d */", &[(Operator, "+"), (Operator, "*")]),
                ("/* /* */ ; */ a", &[(Word, "a")]),
                ("/* /* */ a", &[]),
                ("-- a\rb", &[(Word, "b")]),
                ("\u{feff}a", &[(Word, "\u{feff}a")]),
            ],
        );
    }

    #[test]
    fn a_cast_in_sqlite_is_a_sigil_without_a_name() {
        assert_eq!(
            tokens("a::int", Dialect::Sqlite),
            [(Word, "a"), (Illegal, ":"), (Parameter, ":int")]
        );
        assert_eq!(tokens(":::a", Dialect::Sqlite), [(Parameter, ":::a")]);
    }

    #[test]
    fn tokens_follow_each_other_and_end_between_characters() {
        let pieces = [
            "'", "\"", "`", "[", "]", "$", "$t$", "?", ":", "::", "@", "#", "\\", "--", "/*", "*/",
            "\n", " ", "\x0b", "a", "я", "\u{feff}", "€", "1", ".", "e", "E", "U&", "x", "(", ")",
            ";", "\0", "𝄞",
        ];
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let sql: String = (0..random.usize(..12))
                .map(|_| pieces[random.usize(..pieces.len())])
                .collect();
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let mut last = 0;
                for token in Tokens::new(&sql, dialect) {
                    assert!(last <= token.start && token.start < token.end, "{sql:?}");
                    assert!(sql.get(token.start..token.end).is_some(), "{sql:?}");
                    last = token.end;
                }
                assert!(last <= sql.len(), "{sql:?}");
            }
        }
    }
}
