//! PostgreSQL's binary form of a decimal number, to text and back, without losing a digit.
//!
//! Source: `src/backend/utils/adt/numeric.c` of PostgreSQL, numeric_send and numeric_recv: the number of
//! digits, the weight of the first one, the sign, the number of decimal places to show, and then the digits,
//! each a 16-bit number from 0 to 9999, the one of weight 0 standing before the decimal point.

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// The decimal digits in one digit of the binary form.
const GROUP: usize = 4;
/// The most decimal digits that PostgreSQL keeps before and behind the point (manual, "Numeric Types").
const MAX_WHOLE: usize = 131_072;
const MAX_PLACES: usize = 16_383;

/// Appends the text of a binary number; `None` where it is malformed.
pub(crate) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (header, digits) = bytes.split_first_chunk::<8>()?;
    let [c0, c1, w0, w1, s0, s1, p0, p1] = *header;
    let count = usize::from(u16::from_be_bytes([c0, c1]));
    let weight = i32::from(i16::from_be_bytes([w0, w1]));
    let places = usize::from(u16::from_be_bytes([p0, p1]));
    if digits.len() != count * 2 || places > MAX_PLACES {
        return None;
    }
    let begin = out.len();
    let special: &[u8] = match u16::from_be_bytes([s0, s1]) {
        POSITIVE => b"",
        NEGATIVE => {
            out.push(b'-');
            b""
        }
        NAN => b"NaN",
        INFINITY => b"Infinity",
        NEGATIVE_INFINITY => b"-Infinity",
        _ => return None,
    };
    if !special.is_empty() {
        out.extend_from_slice(special);
        return Some(());
    }
    let start = out.len();
    // Digits that are not sent, on either side, are zeros.
    let group = |weight_of: i32| -> Option<[u8; GROUP]> {
        let digit = usize::try_from(weight - weight_of)
            .ok()
            .and_then(|index| digits.get(index * 2..index * 2 + 2))
            .map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]));
        (digit < 10_000).then(|| [1000, 100, 10, 1].map(|power| b'0' + (digit / power % 10) as u8))
    };
    for weight_of in (0..=weight).rev() {
        out.extend_from_slice(&group(weight_of)?);
    }
    let zeros = out[start..]
        .iter()
        .take_while(|byte| **byte == b'0')
        .count();
    out.drain(start..start + zeros);
    if out.len() == start {
        out.push(b'0');
    }
    if places > 0 {
        out.push(b'.');
        let end = out.len() + places;
        let mut weight_of = -1;
        while out.len() < end {
            out.extend_from_slice(&group(weight_of)?);
            weight_of -= 1;
        }
        out.truncate(end);
    }
    // Zero has no sign, whatever the server sends.
    let is_zero = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0' | b'.'));
    if start > begin && is_zero(out.get(start..)?) {
        out.remove(begin);
    }
    Some(())
}

/// Why a text cannot be sent as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumericError {
    Malformed,
    TooLarge,
}

/// Appends the binary form of a text: a sign, digits with or without a point, and an exponent.
pub(crate) fn encode(text: &str, out: &mut impl Extend<u8>) -> Result<(), NumericError> {
    let (sign, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (NEGATIVE, rest),
        [b'+', rest @ ..] => (POSITIVE, rest),
        rest => (POSITIVE, rest),
    };
    let special = if text.eq_ignore_ascii_case("nan") {
        Some(NAN)
    } else if rest.eq_ignore_ascii_case(b"infinity") || rest.eq_ignore_ascii_case(b"inf") {
        Some(if sign == NEGATIVE {
            NEGATIVE_INFINITY
        } else {
            INFINITY
        })
    } else {
        None
    };
    if let Some(special) = special {
        write(out, &[], 0, special, 0);
        return Ok(());
    }
    let Decimal {
        whole,
        fraction,
        exponent,
    } = Decimal::parse(rest).ok_or(NumericError::Malformed)?;

    // The point stands behind `point` of the digits, which may lie outside of them.
    let all: Vec<u8> = whole
        .iter()
        .chain(fraction)
        .map(|byte| byte - b'0')
        .collect();
    let point = whole.len() as i64 + exponent;
    let places = (fraction.len() as i64 - exponent).max(0);
    let places = usize::try_from(places).map_err(|_| NumericError::TooLarge)?;
    let zeros = all.iter().take_while(|digit| **digit == 0).count();
    if places > MAX_PLACES || point - zeros as i64 > MAX_WHOLE as i64 && zeros < all.len() {
        return Err(NumericError::TooLarge);
    }
    if zeros == all.len() {
        write(out, &[], 0, POSITIVE, places as u16);
        return Ok(());
    }
    // Groups are aligned at the point; the first one holds the first digit that is not zero.
    let first = point - 1 - zeros as i64;
    let weight = first.div_euclid(GROUP as i64);
    let mut groups = Vec::new();
    // The digit that begins the first group, counted in `all`.
    let mut at = point - (weight + 1) * GROUP as i64;
    while at < all.len() as i64 {
        let group = (at..at + GROUP as i64).fold(0u16, |group, index| {
            let digit = usize::try_from(index).ok().and_then(|index| all.get(index));
            group * 10 + u16::from(digit.copied().unwrap_or(0))
        });
        groups.push(group);
        at += GROUP as i64;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    write(out, &groups, weight as i16, sign, places as u16);
    Ok(())
}

/// The digits of Picodata's decimal numbers, and the most places behind their point (decNumber, as Tarantool builds it).
const PICODATA_DIGITS: i64 = 38;

/// Checks that a text is a number that Picodata holds without losing a digit. It would round one with more places.
pub(crate) fn check_for_picodata(text: &str) -> Result<(), NumericError> {
    let digits = match text.as_bytes() {
        [b'-' | b'+', rest @ ..] => rest,
        rest => rest,
    };
    let Decimal {
        whole,
        fraction,
        exponent,
    } = Decimal::parse(digits).ok_or(NumericError::Malformed)?;
    // The powers of ten that the digits other than 0 stand for.
    let mut powers = (whole.iter().chain(fraction).zip(1..))
        .filter(|(digit, _)| **digit != b'0')
        .map(|(_, place)| whole.len() as i64 + exponent - place);
    let Some(highest) = powers.next() else {
        return Ok(());
    };
    let lowest = powers.last().unwrap_or(highest);
    let is_held = highest < PICODATA_DIGITS
        && lowest >= -PICODATA_DIGITS
        && highest - lowest < PICODATA_DIGITS;
    if is_held {
        Ok(())
    } else {
        Err(NumericError::TooLarge)
    }
}

/// Appends the text of a number in plain digits: without an exponent, a plus, or zeros that say nothing.
pub(crate) fn plain(text: &str, out: &mut impl Extend<u8>) -> Result<(), NumericError> {
    let (mut bytes, mut digits) = (Vec::new(), Vec::new());
    encode(text, &mut bytes)?;
    decode(&bytes, &mut digits).ok_or(NumericError::Malformed)?;
    out.extend(digits);
    Ok(())
}

fn write(out: &mut impl Extend<u8>, groups: &[u16], weight: i16, sign: u16, places: u16) {
    out.extend((groups.len() as u16).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(places.to_be_bytes());
    out.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
}

/// The parts of a number without its sign.
struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match at {
            Some(at) => {
                let exponent = std::str::from_utf8(text.get(at + 1..)?).ok()?;
                // Larger ones could not be told apart from each other: all are too large.
                (text.get(..at)?, i64::from(exponent.parse::<i32>().ok()?))
            }
            None => (text, 0),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = match point {
            Some(point) => (mantissa.get(..point)?, mantissa.get(point + 1..)?),
            None => (mantissa, &[][..]),
        };
        let digits = whole.len() + fraction.len() > 0
            && whole.iter().chain(fraction).all(u8::is_ascii_digit);
        digits.then_some(Decimal {
            whole,
            fraction,
            exponent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picodata_is_given_what_it_holds() {
        let nines = "9".repeat(38);
        let small = format!("0.{}1", "0".repeat(37));
        for text in [
            "0",
            "-0.000",
            "1e37",
            "-1E-38",
            "+1",
            ".5",
            "1.",
            "12345678901234567890.123456789012345678",
            "1.5000000000000000000000000000000000000000000",
            "0e999",
            &nines,
            &small,
        ] {
            assert_eq!(check_for_picodata(text), Ok(()), "{text}");
        }
        let ten = format!("{nines}9");
        for text in [
            "1e38",
            "1e-39",
            "12345678901234567890.1234567890123456789",
            "1e2000000000",
            &ten,
        ] {
            assert_eq!(
                check_for_picodata(text),
                Err(NumericError::TooLarge),
                "{text}"
            );
        }
        for text in ["", "-", "NaN", "Infinity", " 1", "1 ", "1e", "0x1", "--1"] {
            assert_eq!(
                check_for_picodata(text),
                Err(NumericError::Malformed),
                "{text}"
            );
        }
    }

    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        out
    }

    fn text(bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        decode(bytes, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// What `SELECT $1::text::numeric` sent over the wire, from a PostgreSQL 15.
    #[test]
    fn the_servers_own_bytes() {
        for (number, expected) in [
            ("0", &[0, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-1.5", &[2, 0, 0x4000, 1, 1, 5000]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("12345.678", &[3, 1, 0, 3, 1, 2345, 6780]),
            ("0.0001", &[1, 0xffff, 0, 4, 1]),
            ("0.00001", &[1, 0xfffe, 0, 5, 1000]),
            ("100000000", &[1, 2, 0, 0, 1]),
            ("NaN", &[0, 0, 0xC000, 0]),
            ("Infinity", &[0, 0, 0xD000, 0]),
            ("-Infinity", &[0, 0, 0xF000, 0]),
        ] {
            assert_eq!(bytes(number), words(expected), "{number}");
            assert_eq!(text(&words(expected)).as_deref(), Some(number));
        }
    }

    #[test]
    fn every_digit_survives() {
        for number in [
            "99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999999.99999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000001",
            "12345678901234567890.12345678901234567890",
            "1.10",
            "1000000000000000000000000.0000",
        ] {
            assert_eq!(text(&bytes(number)).as_deref(), Some(number));
        }
        // Each length before and behind the point, so that every alignment of the groups occurs.
        for whole in 1..14 {
            for places in 1..14 {
                let digits = "1234567890123";
                let number = format!("{}.{}", &digits[..whole], &digits[..places]);
                assert_eq!(text(&bytes(&number)), Some(number));
            }
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        for (number, expected) in [
            ("+1", "1"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("1.5E-3", "0.0015"),
            ("12.34e+4", "123400"),
            ("0e-3", "0.000"),
            ("0e99999", "0"),
            ("000001e-10", "0.0000000001"),
            ("nan", "NaN"),
            ("-inf", "-Infinity"),
        ] {
            assert_eq!(text(&bytes(number)).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for number in [
            "",
            ".",
            "-",
            "+-1",
            "1.2.3",
            "1e",
            "e5",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "1e1e1",
            "١",
            "1e99999999999",
        ] {
            assert_eq!(
                encode(number, &mut Vec::new()),
                Err(NumericError::Malformed),
                "{number}"
            );
        }
        for number in ["1e131072", "1e-16384", "1e2147483647", "1e-2147483648"] {
            assert_eq!(
                encode(number, &mut Vec::new()),
                Err(NumericError::TooLarge),
                "{number}"
            );
        }
        assert!(encode("1e131071", &mut Vec::new()).is_ok());
        assert!(encode("1e-16383", &mut Vec::new()).is_ok());
    }

    #[test]
    fn zero_has_no_sign() {
        for digits in [&[][..], &[0, 0], &[0, 0, 0, 0]] {
            let count = digits.len() as u8 / 2;
            for (places, expected) in [(0, "0"), (3, "0.000")] {
                let header = [0, count, 0, 0, 0x40, 0, 0, places];
                let mut text = b"n=".to_vec();
                decode(&[&header, digits].concat(), &mut text).unwrap();
                assert_eq!(text, [b"n=", expected.as_bytes()].concat());
            }
        }
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let good = bytes("12345.678");
        for cut in 0..good.len() {
            assert_eq!(text(&good[..cut]), None, "{cut}");
        }
        assert_eq!(
            text(&words(&[1, 0, 0, 0, 10_000])),
            None,
            "a digit too large"
        );
        assert_eq!(text(&words(&[1, 0, 7, 0, 1])), None, "an unknown sign");
        assert_eq!(text(&words(&[1, 0, 0, 0, 1, 1])), None, "a digit too many");
        assert_eq!(text(&words(&[0, 0, 0, 16_384])), None, "too many places");
        assert!(text(&words(&[0, 0, 0, 16_383])).is_some());
    }

    #[test]
    fn bytes_at_random_never_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.usize(0..20)).map(|_| random.u8(..)).collect();
            if bytes.len() >= 8 {
                let count = (bytes.len() - 8) / 2;
                bytes[..2].copy_from_slice(&(count as u16).to_be_bytes());
                bytes[2] = 0;
                bytes[4..6].copy_from_slice(&[0x40 * random.u8(0..2), 0]);
            }
            let _ = text(&bytes);
        }
    }
}
