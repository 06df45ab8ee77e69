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

/// The statements of a body, without the comment and the `unsafe` around them.
fn first_words(body: &str) -> &str {
    let mut rest = body.trim_start();
    while rest.starts_with("//") {
        rest = rest
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    rest.strip_prefix("unsafe {").unwrap_or(rest).trim_start()
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
            let end = body.find("\n}\n").unwrap_or(body.len());
            let inner = &body[..end];
            let indent = if body.trim_start().starts_with("//") && inner.contains("\n    unsafe {")
            {
                "\n        "
            } else {
                "\n    "
            };
            let after = inner
                .split(&format!("{indent}}})\n"))
                .nth(1)
                .unwrap_or("")
                .trim();
            assert!(
                after.is_empty() || after == "}",
                "{file}: {name} goes on behind its boundary: {after:?}"
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
