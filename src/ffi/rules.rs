//! Tests of the sources: what no compiler sees to.

use std::fs;
use std::path::Path;

fn sources() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ffi");
    let mut sources = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                sources.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// What may stand before the boundary, since it cannot panic: the outputs by name, and the caller's data, which
/// has to be destroyed also where the boundary refuses the call.
const BEFORE: [(&str, &str); 2] = [
    ("let outputs = (", ");\n"),
    ("let user = UserData::new(", ";\n"),
];

/// The body from its first statement that counts.
fn first_words(body: &str) -> &str {
    let mut rest = body.trim_start();
    loop {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some((_, end)) = BEFORE.iter().find(|(start, _)| rest.starts_with(start)) {
            rest = rest.split_once(end).map_or("", |(_, rest)| rest);
        } else {
            break;
        }
        rest = rest.trim_start();
    }
    rest.strip_prefix("unsafe {").unwrap_or(rest).trim_start()
}

/// What follows the call that `code` begins with.
fn behind_call(code: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (index, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &code[index + 1..];
                }
            }
            _ => {}
        }
    }
    panic!("a call ends: {code}")
}

#[test]
fn every_exported_function_begins_with_its_boundary() {
    let mut count = 0;
    for (file, source) in sources() {
        if file == "rules.rs" {
            continue;
        }
        for part in source.split("no_mangle)]").skip(1) {
            let (head, body) = part.split_once(" {\n").expect("a function has a body");
            let name = head
                .split("fn ")
                .nth(1)
                .and_then(|rest| rest.split('(').next());
            let name = name.unwrap_or_else(|| panic!("{file}: what is exported is a function"));
            let first = first_words(body);
            assert!(
                ["boundary(", "answer(", "free("]
                    .iter()
                    .any(|word| first.starts_with(word)),
                "{file}: {name} begins with {:?}, so a panic in it would cross into C",
                first.lines().next()
            );
            let behind = behind_call(first.split("\n}\n").next().unwrap_or_default());
            assert!(
                behind.trim_matches(['}', ' ', '\n']).is_empty(),
                "{file}: {name} goes on behind its boundary: {behind:?}"
            );
            assert!(head.contains("extern \"C\" fn quorate_"), "{file}: {name}");
            count += 1;
        }
        assert!(
            !source.contains("extern \"C-unwind\""),
            "{file}: an unwinding would cross"
        );
    }
    assert!(count > 100, "the scan has found {count} functions only");
}
