//! The ends of the tokens that have an inside: strings, quoted names, comments, numbers, SQLite's variables.
//!
//! Each function takes the whole text and an offset within the token, and answers the offset just behind it.

/// What may follow the first byte of an identifier, in both dialects: a letter, digit, `_`, `$`, or any byte of
/// a character beyond ASCII.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// What may begin an identifier in both dialects.
pub(super) fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | 0x80..)
}

/// White space inside a run of it: SQLite lets a vertical tab follow other space but not begin a run.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The byte at `at`, or NUL past the end, as C sees a text.
pub(super) fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The first offset from `at` on whose byte is not `accepted`.
pub(super) fn run(text: &[u8], at: usize, accepted: impl Fn(u8) -> bool) -> usize {
    text.get(at..)
        .and_then(|rest| rest.iter().position(|&byte| !accepted(byte)))
        .map_or(text.len(), |length| at + length)
}

/// Behind the next `wanted` from `at` on, or `None` where there is none.
fn behind(text: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let length = text.get(at..)?.iter().position(|&byte| byte == wanted)?;
    Some(at + length + 1)
}

/// Behind a `'…'`, `"…"` or `` `…` `` whose inside begins at `at`; the quote doubled stands for itself.
pub(super) fn quoted(text: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    loop {
        at = behind(text, at, quote)?;
        if byte(text, at) != quote {
            return Some(at);
        }
        at += 1;
    }
}

/// Behind a literal that ends at the next `close` whatever stands before it: SQLite's `[…]`, and `x'…'`.
pub(super) fn plain(text: &[u8], at: usize, close: u8) -> Option<usize> {
    behind(text, at, close)
}

/// Behind PostgreSQL's `E'…'` whose inside begins at `at`.
///
/// Another literal after white space with a line break in it continues this one under the same rules
/// (manual, 4.1.2.1), so a backslash keeps its meaning there; `--` comments count as white space (scan.l,
/// `quotecontinue`).
pub(super) fn escaped(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            b'\'' if byte(text, at + 1) == b'\'' => at += 2,
            b'\'' => match continuation(text, at + 1) {
                Some(inside) => at = inside,
                None => return Some(at + 1),
            },
            _ => at += 1,
        }
    }
}

/// The inside of a literal that continues the one that ended before `at`.
fn continuation(text: &[u8], mut at: usize) -> Option<usize> {
    let mut line_break = false;
    loop {
        match *text.get(at)? {
            b'\n' | b'\r' => {
                line_break = true;
                at += 1;
            }
            space if is_space(space) => at += 1,
            b'-' if byte(text, at + 1) == b'-' => at = line_comment(text, at, true),
            b'\'' if line_break => return Some(at + 1),
            _ => return None,
        }
    }
}

/// How PostgreSQL reads a `$` at `at` that no identifier precedes and no digit follows.
pub(super) enum Dollar {
    /// `$tag$…$tag$`, and the offset behind it.
    Quote(usize),
    /// A dollar quote that never ends.
    Unterminated,
    /// No quote: the `$` stands alone.
    Alone,
}

/// Reads PostgreSQL's dollar quote at `at` (manual, 4.1.2.4): the tag is an identifier without `$`, or empty.
pub(super) fn dollar_quote(text: &[u8], at: usize) -> Dollar {
    let first = byte(text, at + 1);
    if first != b'$' && !is_word_start(first) {
        return Dollar::Alone;
    }
    let tag_end = run(text, at + 1, |byte| is_word_byte(byte) && byte != b'$');
    if byte(text, tag_end) != b'$' {
        return Dollar::Alone;
    }
    let delimiter = text.get(at..=tag_end).unwrap_or_default();
    let mut from = tag_end + 1;
    // A tag holds no `$`, so a comparison never looks past the next one and the search stays linear.
    while let Some(next) = behind(text, from, b'$') {
        let rest = text.get(next - 1..).unwrap_or_default();
        if rest.starts_with(delimiter) {
            return Dollar::Quote(next - 1 + delimiter.len());
        }
        from = next;
    }
    Dollar::Unterminated
}

/// The end of the `--` comment at `at`: before the line break, which is `\n`, or `\r` too where `carriage_return`
/// says so (PostgreSQL).
pub(super) fn line_comment(text: &[u8], at: usize, carriage_return: bool) -> usize {
    run(text, at, |byte| {
        byte != b'\n' && !(carriage_return && byte == b'\r')
    })
}

/// Behind the `/* */` comment at `at`, which nests in PostgreSQL; unterminated, the end of the text.
pub(super) fn block_comment(text: &[u8], at: usize, nested: bool) -> usize {
    let mut depth = 1usize;
    let mut at = at + 2;
    while at < text.len() {
        match (byte(text, at), byte(text, at + 1)) {
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            (b'/', b'*') if nested => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// Behind the number at `at`: decimal, hexadecimal, with `_` between digits, with a fraction and an exponent.
///
/// Letters straight after a number belong to it, as SQLite has it; both servers refuse them (PostgreSQL since 15).
pub(super) fn number(text: &[u8], at: usize) -> usize {
    let digits = |at| run(text, at, |byte| byte.is_ascii_digit() || byte == b'_');
    let junk = |at| run(text, at, |byte| is_word_byte(byte) && byte != b'$');
    if byte(text, at) == b'0' && byte(text, at + 1) | 0x20 == b'x' {
        return junk(at);
    }
    let mut end = digits(at);
    if byte(text, end) == b'.' {
        end = digits(end + 1);
    }
    if byte(text, end) | 0x20 == b'e' {
        let sign = usize::from(matches!(byte(text, end + 1), b'+' | b'-'));
        if byte(text, end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign);
        }
    }
    junk(end)
}

/// Reads SQLite's `:name`, `@name`, `$name` or `#name` at `at`; `false` where it is no variable.
///
/// The name may hold `::` and end in `(…)` without white space inside, whatever the first character
/// (tokenize.c, `CC_VARALPHA`; the documentation, lang_expr, tells it of `$` alone). `#name` is undocumented, and
/// `#` with a digit is kept for SQLite itself.
pub(super) fn variable(text: &[u8], at: usize) -> (usize, bool) {
    let mut named = false;
    let mut end = at + 1;
    loop {
        match byte(text, end) {
            next if is_word_byte(next) => {
                named = true;
                end += 1;
            }
            b'(' if named => {
                let close = run(text, end + 1, |byte| {
                    byte != 0 && byte != b')' && !is_space(byte)
                });
                return match byte(text, close) {
                    b')' => (close + 1, true),
                    _ => (close, false),
                };
            }
            b':' if byte(text, end + 1) == b':' => end += 2,
            _ => break,
        }
    }
    let reserved = byte(text, at) == b'#' && byte(text, at + 1).is_ascii_digit();
    (end, named && !reserved)
}
