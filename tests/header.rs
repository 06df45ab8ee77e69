//! The C header and the list of exported symbols: made from the sources, and compared with what is checked in.
//!
//! `QUORATE_UPDATE_HEADER=1 cargo test --test header` writes both.

use std::fs;
use std::path::{Path, PathBuf};

/// The order of the groups in the header: what comes first is what a reader needs first.
const GROUPS: &[&str] = &[
    "status",
    "error",
    "call",
    "config",
    "event",
    "balance",
    "pool",
    "endpoints",
    "connection",
    "sharding",
    "transaction",
    "statement",
    "value",
    "params",
    "rows",
    "bulk",
    "arrow",
    "batch",
    "cancel",
    "buffer",
    "nodes",
    "store",
    "cluster",
    "node",
    "version",
];

/// What only C can write.
const NUL_TERMINATED: &str = "/**\n * The length of a text that ends at its first NUL. It may be given wherever a \
    function takes a text with its\n * length.\n */\n#define QUORATE_NUL_TERMINATED SIZE_MAX\n\n\
    /**\n * A text that ends at its first NUL, with its length: two arguments in one word.\n */\n\
    #define QUORATE_TEXT(text) (text), QUORATE_NUL_TERMINATED";

/// Machinery, which has names in the header but no group.
const MACHINERY: &[&str] = &["view", "callback"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(name: &str) -> PathBuf {
    root().join(format!("src/ffi/{name}.rs"))
}

fn header() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    config.after_includes = Some(after_includes());
    config.header = Some(
        fs::read_to_string(root().join("src/ffi/header.h"))
            .unwrap()
            .trim_end()
            .into(),
    );
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in MACHINERY.iter().chain(GROUPS) {
        builder = builder.with_src(source(name));
    }
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    let mut text = String::from_utf8(bytes).unwrap().replace(
        "ArrowArrayStream *out_stream",
        "struct ArrowArrayStream *out_stream",
    );
    for name in GROUPS {
        text = with_heading(&text, name);
    }
    // Between the types and the functions.
    let inline = fs::read_to_string(root().join("src/ffi/inline.h")).unwrap();
    let heading = heading(&fs::read_to_string(source("value")).unwrap());
    let functions = "#ifdef __cplusplus\nextern \"C\" {";
    assert_eq!(text.matches(functions).count(), 1);
    let text = text.replace(functions, &format!("{heading}{inline}\n{functions}"));
    // cbindgen's width of lines cannot be met by every comment.
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

/// The opening comment of a source, as the heading of a group.
fn heading(source: &str) -> String {
    let comment: Vec<&str> = source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let title = comment.first().expect("a group has a title");
    let rule = "=".repeat(title.len());
    let mut heading = format!("/* {rule}\n * {title}\n * {rule}\n");
    for line in &comment[1..] {
        heading.push_str(format!(" * {line}").trim_end());
        heading.push('\n');
    }
    heading.push_str(" */\n\n");
    heading
}

/// Puts the opening comment of a file before its first function in the header.
fn with_heading(header: &str, name: &str) -> String {
    let source = fs::read_to_string(source(name)).unwrap();
    let first = source
        .split("extern \"C\" fn ")
        .nth(1)
        .and_then(|rest| rest.split('(').next());
    let Some(first) = first.filter(|first| first.starts_with("quorate_")) else {
        return header.to_owned();
    };
    let declaration = header.find(&format!(" {first}(")).unwrap_or_else(|| {
        let starred = format!("*{first}(");
        header
            .find(&starred)
            .unwrap_or_else(|| panic!("{first} is in the header"))
    });
    let start = header[..declaration]
        .rfind("/**")
        .expect("every function has a comment");
    let heading = heading(&source);
    format!("{}{heading}{}", &header[..start], &header[start..])
}

fn after_includes() -> String {
    let arrow = fs::read_to_string(root().join("src/ffi/arrow/arrow.h")).unwrap();
    format!(
        "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n{}\n\n{NUL_TERMINATED}",
        arrow.trim_end()
    )
}

/// The functions that the header declares, in alphabetical order.
fn functions(header: &str) -> Vec<&str> {
    let mut names: Vec<&str> = header
        .lines()
        .filter(|line| {
            !line.starts_with([' ', '/', '#', '*']) && !line.starts_with("static inline")
        })
        .filter(|line| !line.starts_with("typedef"))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("quorate_"))
        .collect();
    names.retain(|name| header.contains(&format!("{name}(")));
    names.sort_unstable();
    names
}

fn compare(path: &str, made: &str) {
    let path = root().join(path);
    if std::env::var_os("QUORATE_UPDATE_HEADER").is_some() {
        fs::write(&path, made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let line = made.lines().zip(found.lines()).position(|(a, b)| a != b);
    assert!(
        made == found,
        "{} is not what the sources make (line {:?}): run QUORATE_UPDATE_HEADER=1 cargo test --test header",
        path.display(),
        line.map(|line| line + 1)
    );
}

#[test]
fn the_header_and_the_symbols_are_those_of_the_sources() {
    let header = header();
    compare("include/quorate.h", &header);
    let symbols = functions(&header).join("\n") + "\n";
    compare("include/symbols.txt", &symbols);

    let exported: usize = fs::read_dir(root().join("src/ffi"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| !path.ends_with("rules.rs"))
        .map(|path| {
            fs::read_to_string(path)
                .unwrap()
                .matches("#[unsafe(no_mangle)]")
                .count()
        })
        .sum();
    assert_eq!(
        symbols.lines().count(),
        exported,
        "every exported function is in the header"
    );
}
