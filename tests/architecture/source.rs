//! Rust source as a flat row of tokens: without comments, documentation and test code, so that a rule is a short scan.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token, as far as the rules need to tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Punct(char),
    /// A string literal's content.
    Text(String),
    /// Any other literal.
    Literal,
    Open(char),
    Close,
}

/// One file's tokens, each with its line.
#[derive(Debug, Default)]
pub struct Source {
    tokens: Vec<(Token, usize)>,
}

impl Source {
    /// Takes the code that is built into the product; items under `#[cfg(test)]` are left out.
    ///
    /// # Errors
    /// Says what is no Rust.
    pub fn parse(code: &str) -> Result<Self, String> {
        let stream: TokenStream = code.parse().map_err(|error| format!("is no Rust: {error}"))?;
        let mut source = Self::default();
        source.flatten(stream);
        Ok(source)
    }

    fn flatten(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            if let Some((attribute, after)) = attribute(&trees, at) {
                if is_test_only(&attribute) {
                    at = end_of_item(&trees, after);
                    continue;
                }
                if first_word(&attribute).is_some_and(|word| word == "doc") {
                    at = after;
                    continue;
                }
            }
            self.push(tree.clone());
            at += 1;
        }
    }

    fn push(&mut self, tree: TokenTree) {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => self.tokens.push((Token::Word(word.to_string()), line)),
            TokenTree::Punct(punct) => self.tokens.push((Token::Punct(punct.as_char()), line)),
            TokenTree::Literal(literal) => self.tokens.push((text(&literal.to_string()), line)),
            TokenTree::Group(group) => {
                let bracket = match group.delimiter() {
                    Delimiter::Parenthesis => '(',
                    Delimiter::Brace => '{',
                    Delimiter::Bracket => '[',
                    Delimiter::None => ' ',
                };
                self.tokens.push((Token::Open(bracket), line));
                self.flatten(group.stream());
                self.tokens.push((Token::Close, group.span_close().start().line));
            }
        }
    }

    /// Every identifier and keyword, with its line.
    pub fn words(&self) -> impl Iterator<Item = (&str, usize)> {
        self.tokens.iter().filter_map(|(token, line)| match token {
            Token::Word(word) => Some((word.as_str(), *line)),
            _ => None,
        })
    }

    /// The content of every string literal.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|(token, _)| match token {
            Token::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// What stands at the root of paths: `a` of `a::b`, of `use a;` and of `use {a, c::d}`.
    pub fn roots(&self) -> Vec<(&str, usize)> {
        let mut roots = Vec::new();
        for at in 0..self.tokens.len() {
            if self.word(at) == Some("use") {
                roots.extend(self.first_words(at + 1));
            } else if self.is_path_separator(at + 1) && !self.follows_separator(at) {
                roots.extend(self.word(at).map(|word| (word, self.tokens[at].1)));
            }
        }
        roots
    }

    /// The crate's own modules that paths lead to, from a file `depth` modules below the crate's root: `a` of
    /// `crate::a::b` and of `crate::{a, c::d}`, and of as many `super::` as lead to the root.
    pub fn modules(&self, depth: usize) -> Vec<(&str, usize)> {
        let mut modules = Vec::new();
        for at in 0..self.tokens.len() {
            if self.follows_separator(at) {
                continue;
            }
            let mut supers = 0;
            while self.word(at + 3 * supers) == Some("super") && self.is_path_separator(at + 3 * supers + 1) {
                supers += 1;
            }
            if self.word(at) == Some("crate") && self.is_path_separator(at + 1) {
                modules.extend(self.first_words(at + 3));
            } else if supers > 0 && supers == depth {
                modules.extend(self.first_words(at + 3 * supers));
            }
        }
        modules
    }

    /// Calls of a method: its name, its line, and its first argument where that is a string literal.
    pub fn calls(&self) -> impl Iterator<Item = (&str, usize, Option<&str>)> {
        (1..self.tokens.len()).filter_map(|at| {
            let called = self.tokens[at - 1].0 == Token::Punct('.') && self.is(at + 1, &Token::Open('('));
            let name = self.word(at).filter(|_| called)?;
            let argument = match self.tokens.get(at + 2) {
                Some((Token::Text(text), _)) => Some(text.as_str()),
                _ => None,
            };
            Some((name, self.tokens[at].1, argument))
        })
    }

    /// The first word of the path at `at`, or of each path of the group there.
    fn first_words(&self, at: usize) -> Vec<(&str, usize)> {
        if !self.is(at, &Token::Open('{')) {
            return self.word(at).map(|word| (word, self.tokens[at].1)).into_iter().collect();
        }
        let (mut words, mut depth, mut begins) = (Vec::new(), 0, false);
        for (offset, (token, _)) in self.tokens[at..].iter().enumerate() {
            match token {
                Token::Open(_) => (depth, begins) = (depth + 1, depth == 0),
                Token::Close => depth -= 1,
                Token::Punct(',') => begins = depth == 1,
                Token::Word(_) if begins => {
                    words.extend(self.first_words(at + offset));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        words
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.tokens.get(at).is_some_and(|(found, _)| found == token)
    }

    fn is_path_separator(&self, at: usize) -> bool {
        self.is(at, &Token::Punct(':')) && self.is(at + 1, &Token::Punct(':'))
    }

    fn follows_separator(&self, at: usize) -> bool {
        at >= 2 && self.is_path_separator(at - 2)
    }
}

/// The attribute that begins at `at`, and where it ends.
fn attribute(trees: &[TokenTree], at: usize) -> Option<(Vec<TokenTree>, usize)> {
    let is_punct = |at: usize, wanted| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.as_char() == wanted);
    if !is_punct(at, '#') {
        return None;
    }
    let bracket = at + 1 + usize::from(is_punct(at + 1, '!'));
    match trees.get(bracket) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some((group.stream().into_iter().collect(), bracket + 1))
        }
        _ => None,
    }
}

fn first_word(trees: &[TokenTree]) -> Option<String> {
    trees.first().map(ToString::to_string)
}

/// `cfg(test)` and what can only be true with it.
fn is_test_only(attribute: &[TokenTree]) -> bool {
    let condition = attribute.get(1).map(ToString::to_string).unwrap_or_default();
    let words: Vec<&str> = condition.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    first_word(attribute).is_some_and(|word| word == "cfg")
        && words.contains(&"test")
        && !words.iter().any(|word| matches!(*word, "not" | "any"))
}

/// Where the item ends that follows: behind its braces, or its semicolon.
fn end_of_item(trees: &[TokenTree], from: usize) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    trees[from..].iter().position(ends).map_or(trees.len(), |offset| from + offset + 1)
}

/// A literal, with the content of it if it is a string of any kind.
fn text(literal: &str) -> Token {
    let unprefixed = literal.trim_start_matches(['b', 'c', 'r', '#']);
    let content = unprefixed.strip_prefix('"').and_then(|rest| rest.trim_end_matches('#').strip_suffix('"'));
    content.map_or(Token::Literal, |content| Token::Text(content.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(code: &str) -> Source {
        Source::parse(code).unwrap()
    }

    fn names(found: Vec<(&str, usize)>) -> Vec<&str> {
        found.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn roots_of_paths_are_found_wherever_they_stand() {
        let code = "use a::b; use {c, d::e::{f, g}}; use h as i; fn x() { j::k(l::m, n.o) }";
        assert_eq!(names(source(code).roots()), ["a", "a", "c", "d", "d", "h", "j", "l"]);
    }

    #[test]
    fn modules_are_found_through_groups_and_supers() {
        let code = "use crate::a::crate_b; use crate::{c, d::{e, f}}; fn x() { crate::g::h(super::i::j) }";
        assert_eq!(names(source(code).modules(1)), ["a", "c", "d", "g", "i"]);
        assert_eq!(names(source("use super::super::a; use super::b;").modules(2)), ["a"]);
    }

    #[test]
    fn tests_comments_and_documentation_are_not_code() {
        let code = "//! a::b \"t\"\n/// c::d\nfn x() {} // e::f\n#[cfg(test)] mod tests { use g::h; }\n#[cfg(all(test, x))] use i::j;\nuse k::l;";
        assert_eq!(names(source(code).roots()), ["k", "k"]);
        assert_eq!(source(code).roots()[0].1, 6);
        assert_eq!(source(code).texts().count(), 0);
        assert_eq!(names(source("#[cfg(not(test))] use a::b;").roots()), ["a", "a"]);
    }

    #[test]
    fn calls_have_their_first_text() {
        let code = r#####"fn x() { a.unwrap(); a.expect("why"); a.expect(r#"raw"#); unwrap(); a.expect('c') }"#####;
        let calls: Vec<_> =
            source(code).calls().map(|(name, _, text)| (name.to_owned(), text.map(str::to_owned))).collect();
        let call = |name: &str, text: Option<&str>| (name.to_owned(), text.map(str::to_owned));
        assert_eq!(
            calls,
            [call("unwrap", None), call("expect", Some("why")), call("expect", Some("raw")), call("expect", None)]
        );
    }
}
