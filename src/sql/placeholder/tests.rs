use super::*;
use Placeholders::{Named, Native, Question};

fn check(from: Placeholders, sql: &str, expected: &str, names: &[&str]) {
    let found = rewrite(sql, from, Dialect::Postgres).unwrap_or_else(|error| {
        panic!("{sql:?}: {error}");
    });
    assert_eq!(found.sql, expected, "{sql:?}");
    assert_eq!(
        matches!(found.sql, Cow::Borrowed(_)),
        sql == expected,
        "{sql:?}"
    );
    if from == Named {
        let found: Vec<&str> = (1..=found.parameters.count())
            .filter_map(|number| found.parameters.name(number))
            .collect();
        assert_eq!(found, names, "{sql:?}");
    }
}

#[test]
fn question_marks_become_numbers() {
    for (sql, expected) in [
        ("select 1", "select 1"),
        ("select ?, ?", "select $1, $2"),
        ("?", "$1"),
        (
            "select a from t where a=? and b=?;",
            "select a from t where a=$1 and b=$2;",
        ),
        (
            "select '?', \"?\", E'\\'?', $$?$$, $t$?$t$ -- ?\n/* ? /* ? */ ? */, ?",
            "select '?', \"?\", E'\\'?', $$?$$, $t$?$t$ -- ?\n/* ? /* ? */ ? */, $1",
        ),
        ("select ?::int, a::text", "select $1::int, a::text"),
        (
            "select a ?? 'k', b ??| ?, c ??& ?",
            "select a ? 'k', b ?| $1, c ?& $2",
        ),
        ("select a @?? ?", "select a @? $1"),
        ("select ???", "select ?$1"),
        ("select ?||'x'", "select $1||'x'"),
        ("limit?offset?", "limit $1 offset $2"),
        ("select 1where?=?and 2", "select 1where $1=$2 and 2"),
        ("select 'я', ?, 'ю'", "select 'я', $1, 'ю'"),
        (
            "select a[1:2], a[m:n], a[m :n], a[?:?]",
            "select a[1:2], a[m:n], a[m :n], a[$1:$2]",
        ),
        ("select f(a := ?)", "select f(a := $1)"),
        ("select '?", "select '?"),
        ("select ?/* ?", "select $1/* ?"),
    ] {
        check(Question, sql, expected, &[]);
    }
    let many = "?,".repeat(12);
    let found = rewrite(&many, Question, Dialect::Postgres).unwrap();
    assert_eq!(found.sql, "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,");
    assert_eq!(found.parameters.count(), 12);
    assert_eq!(found.parameters.name(1), None);
}

#[test]
fn names_become_numbers() {
    for (sql, expected, names) in [
        ("select 1", "select 1", &[][..]),
        ("select :a, :b, :a", "select $1, $2, $1", &[":a", ":b"]),
        (
            "select :a::int, b::text",
            "select $1::int, b::text",
            &[":a"],
        ),
        (
            "select ':a', \":a\", $$:a$$ /* :a */ -- :a\n, :b",
            "select ':a', \":a\", $$:a$$ /* :a */ -- :a\n, $1",
            &[":b"],
        ),
        ("select :имя, :_x1", "select $1, $2", &[":имя", ":_x1"]),
        ("f(a := :a, b:=:b)", "f(a := $1, b:=$2)", &[":a", ":b"]),
        (
            "a[1:2], a[m:n], a[f(x):n], a[1:n]",
            "a[1:2], a[m:n], a[f(x):n], a[1:n]",
            &[],
        ),
        (
            "a[:m:n], a[:m : :n], a[m :n]",
            "a[$1:n], a[$1 : $2], a[m $2]",
            &[":m", ":n"],
        ),
        ("limit:n", "limit $1", &[":n"]),
        ("a ? 'k' and b = :b", "a ? 'k' and b = $1", &[":b"]),
        ("(a @? 'k') and ?- :l", "(a @? 'k') and ?- $1", &[":l"]),
        (": a, :1", ": a, :1", &[]),
        ("select :a", "select $1", &[":a"]),
    ] {
        check(Named, sql, expected, names);
    }
    let found = rewrite("select :a, :b", Named, Dialect::Postgres).unwrap();
    assert_eq!(found.parameters.index_of("b").unwrap(), 2);
    assert_eq!(found.parameters.index_of(":a").unwrap(), 1);
}

#[test]
fn the_servers_own_style_and_all_of_sqlite_stay_as_they_are() {
    for (sql, from, dialect, count) in [
        ("select $2, a ? b, :c", Native, Dialect::Postgres, 2),
        ("select ?, :a, @b, $c, ?9", Native, Dialect::Sqlite, 9),
        ("select ?, ?5, '?' -- :a", Question, Dialect::Sqlite, 5),
        ("select :a, :b, :a", Named, Dialect::Sqlite, 2),
        ("select 1", Named, Dialect::Sqlite, 0),
    ] {
        let found = rewrite(sql, from, dialect).unwrap();
        assert!(matches!(found.sql, Cow::Borrowed(text) if text == sql));
        assert_eq!(found.parameters.count(), count, "{sql:?}");
    }
}

#[test]
fn mixed_styles_are_refused_with_both_places() {
    for (from, dialect, sql, expected) in [
        (
            Question,
            Dialect::Postgres,
            "select ?,\n $1",
            "mixed placeholders: `?` at line 1, column 8 and `$1` at line 2, column 2; write every parameter as `?`",
        ),
        (
            Question,
            Dialect::Postgres,
            "select 'я', ?, :a",
            "mixed placeholders: `?` at line 1, column 13 and `:a` at line 1, column 16; write every parameter as `?`",
        ),
        (
            Question,
            Dialect::Postgres,
            "select ?, ?12",
            "mixed placeholders: `?` at line 1, column 8 and `?12` at line 1, column 11; write every parameter as `?`",
        ),
        (
            Named,
            Dialect::Postgres,
            "select :a, ?",
            "mixed placeholders: `:a` at line 1, column 8 and `?` at line 1, column 12; write every parameter as `:name`",
        ),
        (
            Named,
            Dialect::Postgres,
            "where a=:a and b=?",
            "mixed placeholders: `:a` at line 1, column 9 and `?` at line 1, column 18; write every parameter as `:name`",
        ),
        (
            Named,
            Dialect::Postgres,
            "select $1",
            "the parameter `$1` at line 1, column 8 is not of the style `:name` that `placeholders` asks for; write it as `:name`, or set `placeholders` to native",
        ),
        (
            Question,
            Dialect::Sqlite,
            "select ?, :a",
            "mixed placeholders: `?` at line 1, column 8 and `:a` at line 1, column 11; write every parameter as `?`",
        ),
        (
            Named,
            Dialect::Sqlite,
            "select :a, ?2",
            "mixed placeholders: `:a` at line 1, column 8 and `?2` at line 1, column 12; write every parameter as `:name`",
        ),
        (
            Named,
            Dialect::Sqlite,
            "select @a",
            "the parameter `@a` at line 1, column 8 is not of the style `:name` that `placeholders` asks for; write it as `:name`, or set `placeholders` to native",
        ),
    ] {
        let error = rewrite(sql, from, dialect).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert_eq!(error.message(), expected, "{sql:?}");
    }
}

#[test]
fn a_place_is_that_in_the_text_that_was_written() {
    for (sql, from, sent, places) in [
        (
            "я = ? and x",
            Question,
            "я = $1 and x",
            &[(1, 1), (5, 5), (6, 5), (7, 6), (12, 11), (13, 12)][..],
        ),
        (
            "a ??| ? or b",
            Question,
            "a ?| $1 or b",
            &[(3, 3), (4, 5), (6, 7), (7, 7), (8, 8), (12, 12)],
        ),
        (
            "select:name::int,:b\"é\" x",
            Named,
            "select $1::int,$2\"é\" x",
            &[
                (7, 7),
                (8, 7),
                (9, 7),
                (10, 12),
                (16, 18),
                (18, 20),
                (22, 24),
            ],
        ),
        ("select x", Named, "select x", &[(8, 8), (9, 9)]),
    ] {
        assert_eq!(rewrite(sql, from, Dialect::Postgres).unwrap().sql, sent);
        for (place, expected) in places {
            let found = original_position(sql, from, Dialect::Postgres, *place);
            assert_eq!(found, Some(*expected), "{place} in {sent:?}");
        }
        for outside in [0, sent.chars().count() + 2, usize::MAX] {
            let found = original_position(sql, from, Dialect::Postgres, outside);
            assert_eq!(found, None, "{outside} in {sent:?}");
        }
    }
}

#[test]
fn more_parameters_than_the_protocol_counts_are_refused() {
    let text = "?,".repeat(65_535);
    let found = rewrite(&text, Question, Dialect::Postgres).unwrap();
    assert_eq!(found.parameters.count(), 65_535);
    let error = rewrite(&format!("{text}?"), Question, Dialect::Postgres).unwrap_err();
    assert_eq!(
        error.message(),
        "the parameter `?` at line 1, column 131071 is one too many: a statement has at most 65535 \
         (the protocol counts them in 16 bits)"
    );
}

#[test]
fn a_rewritten_text_has_the_parameters_that_are_listed() {
    let pieces = [
        "?", "??", ":a", ":b", "::", ":=", "[", "]", "1", "a", " ", "'", "\"", "$$", "--", "\n",
        "/*", "*/", "E'", "\\", ",", "(", ")", ":", "=", "я",
    ];
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let sql: String = (0..random.usize(..14))
            .map(|_| pieces[random.usize(..pieces.len())])
            .collect();
        for from in [Question, Named] {
            if let Ok(found) = rewrite(&sql, from, Dialect::Postgres) {
                let native = parameters(&found.sql, Dialect::Postgres).unwrap();
                assert_eq!(native.count(), found.parameters.count(), "{sql:?}");
            }
        }
    }
}
