//! Rust source as names and marks, without comments, strings and characters; and the paths named in it.

/// Names (and numbers) as they are, `::` as one mark, every other mark by itself.
pub fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let at = |n: usize| text.get(n).copied().unwrap_or('\0');
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    let mut n = 0;
    while n < text.len() {
        match at(n) {
            '/' if at(n + 1) == '/' => n = end_of(&text, n, "\n"),
            '/' if at(n + 1) == '*' => n = end_of_block(&text, n),
            '"' => n = end_of_string(&text, n),
            // A character; otherwise a lifetime, whose name follows as a name.
            '\'' if at(n + 1) == '\\' => n = end_of(&text, n + 3, "'"),
            '\'' if at(n + 2) == '\'' => n += 3,
            ':' if at(n + 1) == ':' => {
                out.push("::".to_owned());
                n += 2;
            }
            c if is_name(c) => {
                let start = n;
                while is_name(at(n)) {
                    n += 1;
                }
                let name: String = text[start..n].iter().collect();
                let hashes = (n..).take_while(|m| at(*m) == '#').count();
                if matches!(name.as_str(), "r" | "br" | "cr") && at(n + hashes) == '"' {
                    n = end_of(&text, n + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
                } else {
                    out.push(name);
                }
            }
            c => {
                if !c.is_whitespace() {
                    out.push(c.to_string());
                }
                n += 1;
            }
        }
    }
    out
}

fn end_of(text: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (from..text.len()).find(|n| text[*n..].starts_with(&end)).map_or(text.len(), |n| n + end.len())
}

fn end_of_string(text: &[char], from: usize) -> usize {
    let mut n = from + 1;
    while n < text.len() && text[n] != '"' {
        n += if text[n] == '\\' { 2 } else { 1 };
    }
    n + 1
}

/// Block comments nest.
fn end_of_block(text: &[char], from: usize) -> usize {
    let (mut n, mut depth) = (from, 0);
    while n < text.len() {
        if text[n..].starts_with(&['/', '*']) {
            depth += 1;
            n += 2;
        } else if text[n..].starts_with(&['*', '/']) {
            depth -= 1;
            n += 2;
            if depth == 0 {
                break;
            }
        } else {
            n += 1;
        }
    }
    n
}

/// Every path that starts at the crate's root (`crate::a::b`, each leaf of `use crate::{a, b::{c, d}}`) or climbs there by
/// `super`, without the `crate`. `module` is the path of the file's module.
pub fn crate_paths(tokens: &[String], module: &[String]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    // Modules within the file: name, and how many braces were open outside it.
    let (mut inner, mut open): (Vec<(String, usize)>, usize) = (Vec::new(), 0);
    let word = |n: usize| tokens.get(n).map_or("", String::as_str);
    let mut n = 0;
    while n < tokens.len() {
        match word(n) {
            "mod" if word(n + 2) == "{" => inner.push((tokens[n + 1].clone(), open)),
            "{" => open += 1,
            "}" => {
                open = open.saturating_sub(1);
                inner.pop_if(|(_, outside)| *outside == open);
            }
            "crate" if word(n + 1) == "::" && (n == 0 || !matches!(word(n - 1), "$" | "::")) => {
                leaves(tokens, n + 1, Vec::new(), &mut out);
            }
            "super" if word(n + 1) == "::" && (n == 0 || word(n - 1) != "::") => {
                let mut here: Vec<String> =
                    module.iter().cloned().chain(inner.iter().map(|(m, _)| m.clone())).collect();
                let mut last = n;
                here.pop();
                while word(last + 1) == "::" && word(last + 2) == "super" {
                    here.pop();
                    last += 2;
                }
                leaves(tokens, last + 1, here, &mut out);
            }
            _ => {}
        }
        n += 1;
    }
    out
}

/// Reads `::name::name`, `::{tree, tree}` or `::*` from position n and adds each leaf to `out`; returns where it ended.
fn leaves(tokens: &[String], mut n: usize, mut path: Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let word = |n: usize| tokens.get(n).map_or("", String::as_str);
    let is_name = |t: &str| t.starts_with(|c: char| c.is_alphabetic() || c == '_');
    while word(n) == "::" {
        match word(n + 1) {
            "{" => {
                n += 2;
                while !matches!(word(n), "}" | "") {
                    if is_name(word(n)) {
                        let mut leaf = path.clone();
                        leaf.push(word(n).to_owned());
                        n = leaves(tokens, n + 1, leaf, out);
                        n += if word(n) == "as" { 2 } else { 0 };
                    } else {
                        n += 1;
                    }
                }
                return n + 1;
            }
            name if is_name(name) => {
                path.push(name.to_owned());
                n += 2;
            }
            _ => break,
        }
    }
    out.push(path);
    n
}
