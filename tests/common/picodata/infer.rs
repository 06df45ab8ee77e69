//! What types a statement's results and parameters have, as far as its text says.

use super::lexer::{Kind, Token};
use super::sql::{closing, is_keyword, split_commas, top_level, type_at};
use super::types::Type;

const COMPARISONS: [&str; 7] = ["=", "<>", "!=", "<", ">", "<=", ">="];

/// What is known about the names of a statement.
pub struct Scope<'a> {
    /// The columns of its tables.
    pub columns: Vec<(&'a str, Type)>,
    /// The parameters' types, as far as they are known; the first is `$1`.
    pub params: Vec<Option<Type>>,
}

/// One item of a select list.
pub struct Item<'a> {
    pub expression: &'a [Token],
    /// `None` where it has to be called `col_n`.
    pub name: Option<String>,
    pub star: bool,
}

/// The select list of a query.
pub fn items(tokens: &[Token]) -> Vec<Item<'_>> {
    let Some((select, _)) = top_level(tokens).find(|(_, token)| token.is("select")) else {
        return Vec::new();
    };
    let mut list = &tokens[select + 1..];
    if list
        .first()
        .is_some_and(|token| token.is("distinct") || token.is("all"))
    {
        list = &list[1..];
    }
    let ends = [
        "from",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "union",
        "except",
        "intersect",
    ];
    let end = top_level(list).find(|(_, token)| ends.iter().any(|word| token.is(word)));
    let list = end.map_or(list, |(end, _)| &list[..end]);
    split_commas(list).into_iter().map(item).collect()
}

fn item(tokens: &[Token]) -> Item<'_> {
    let star = tokens.last().is_some_and(|token| token.is("*"))
        && (tokens.len() == 1 || tokens[tokens.len() - 2].is("."));
    let (expression, name) = match tokens {
        [inner @ .., word, alias] if word.is("as") => (inner, alias.name()),
        [one] => (tokens, column(one)),
        [_, dot, one] if dot.is(".") => (tokens, column(one)),
        [inner @ .., before, alias]
            if column(alias).is_some() && !alias.is("end") && ends_operand(before) =>
        {
            (&tokens[..=inner.len()], alias.name())
        }
        _ => (tokens, None),
    };
    Item {
        expression,
        name: name.map(str::to_owned),
        star,
    }
}

fn ends_operand(token: &Token) -> bool {
    match token.kind {
        Kind::Symbol => token.is(")"),
        Kind::Word => !is_keyword(token) || token.is("end"),
        _ => true,
    }
}

fn column(token: &Token) -> Option<&str> {
    let literal = ["null", "true", "false"].iter().any(|word| token.is(word));
    token.name().filter(|_| !literal && !is_keyword(token))
}

impl Scope<'_> {
    pub fn column(&self, name: &str) -> Option<Type> {
        self.columns
            .iter()
            .find(|(column, _)| *column == name)
            .map(|(_, found)| *found)
    }

    /// The type of an expression; [`Type::Unknown`] for NULL.
    pub fn expression(&self, tokens: &[Token]) -> Type {
        let boolean = [
            "and", "or", "not", "is", "in", "like", "between", "exists", "ilike",
        ];
        let starts_case = tokens.first().is_some_and(|token| token.is("case"));
        let has = |words: &[&str]| {
            top_level(tokens).any(|(_, token)| words.iter().any(|word| token.is(word)))
        };
        if starts_case {
            return self.case(tokens);
        }
        if has(&boolean) || has(&COMPARISONS) {
            return Type::Boolean;
        }
        if has(&["||"]) {
            return Type::Text;
        }
        if has(&["+", "-", "*", "/", "%"]) {
            return self.arithmetic(tokens);
        }
        if let Some((cast, _)) = top_level(tokens).filter(|(_, token)| token.is("::")).last() {
            return type_at("", tokens, cast + 1).map_or(Type::Unknown, |(found, _)| found);
        }
        match tokens {
            [] => Type::Unknown,
            [one] => self.token(one),
            [_, dot, one] if dot.is(".") => self.token(one),
            [open, inner @ .., close] if open.is("(") && close.is(")") => {
                match items(inner).first() {
                    Some(item) => self.expression(item.expression),
                    None => self.expression(inner),
                }
            }
            [function, open, arguments @ .., close] if open.is("(") && close.is(")") => {
                self.call(&function.text, arguments)
            }
            _ => Type::Text,
        }
    }

    fn token(&self, token: &Token) -> Type {
        match &token.kind {
            Kind::Number if token.text.contains(['.', 'e', 'E']) => Type::Decimal,
            Kind::Number => Type::Integer,
            Kind::Text => Type::Text,
            Kind::Param(number) => {
                let known = self.params.get(number - 1).copied().flatten();
                known.unwrap_or(Type::Unknown)
            }
            _ => match &*token.text {
                "null" => Type::Unknown,
                "true" | "false" => Type::Boolean,
                "current_date" | "current_timestamp" | "localtimestamp" => Type::Datetime,
                name => self.column(name).unwrap_or(Type::Text),
            },
        }
    }

    fn arithmetic(&self, tokens: &[Token]) -> Type {
        let mut types = Vec::new();
        let mut start = 0;
        let operator = |token: &Token| ["+", "-", "*", "/", "%"].iter().any(|word| token.is(word));
        for (index, _) in top_level(tokens).filter(|(_, token)| operator(token)) {
            types.push(self.expression(&tokens[start..index]));
            start = index + 1;
        }
        types.push(self.expression(&tokens[start..]));
        [Type::Double, Type::Decimal, Type::Datetime]
            .into_iter()
            .find(|one| types.contains(one))
            .unwrap_or(Type::Integer)
    }

    fn case(&self, tokens: &[Token]) -> Type {
        let Some(then) = tokens.iter().position(|token| token.is("then")) else {
            return Type::Text;
        };
        let rest = &tokens[then + 1..];
        let ends = ["when", "else", "end"];
        let end = rest
            .iter()
            .position(|token| ends.iter().any(|word| token.is(word)));
        self.expression(&rest[..end.unwrap_or(rest.len())])
    }

    fn call(&self, function: &str, arguments: &[Token]) -> Type {
        match function {
            "cast" => top_level(arguments)
                .find(|(_, token)| token.is("as"))
                .and_then(|(at, _)| type_at("", arguments, at + 1).ok())
                .map_or(Type::Unknown, |(found, _)| found),
            "count" | "length" | "pico_raft_leader_id" => Type::Integer,
            "sum" | "avg" | "total" => Type::Decimal,
            "min" | "max" | "coalesce" | "ifnull" | "nullif" | "abs" => split_commas(arguments)
                .into_iter()
                .map(|argument| self.expression(argument))
                .find(|found| *found != Type::Unknown)
                .unwrap_or(Type::Unknown),
            "exists" => Type::Boolean,
            "_pico_bucket" => Type::Json,
            _ => Type::Text,
        }
    }

    /// Finds the types of the parameters that stand beside something whose type is known.
    pub fn find_parameters(&mut self, tokens: &[Token]) {
        for (at, token) in tokens.iter().enumerate() {
            let Kind::Param(number) = token.kind else {
                continue;
            };
            if self.params.len() < number {
                self.params.resize(number, None);
            }
            if self.params[number - 1].is_none() {
                self.params[number - 1] = self.beside(tokens, at);
            }
        }
    }

    fn beside(&self, tokens: &[Token], at: usize) -> Option<Type> {
        let next = tokens.get(at + 1);
        if next.is_some_and(|next| next.is("::") || next.is("as")) {
            return type_at("", tokens, at + 2).ok().map(|(found, _)| found);
        }
        let operators = ["+", "-", "*", "/", "%"];
        let related = |token: &Token| {
            COMPARISONS
                .iter()
                .chain(&operators)
                .any(|word| token.is(word))
        };
        if let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) {
            match &*before.text {
                "limit" | "offset" => return Some(Type::Integer),
                "like" | "ilike" | "||" => return Some(Type::Text),
                _ if before.is("between") || related(before) => {
                    return self.operand_before(tokens, at - 1);
                }
                "and" => {
                    let between = tokens[..at - 1]
                        .iter()
                        .rposition(|token| token.is("between"));
                    if let Some(found) = between.filter(|between| between + 3 == at - 1 + 1) {
                        return self.operand_before(tokens, found);
                    }
                }
                _ => {}
            }
        }
        match next {
            Some(next) if next.is("||") || next.is("like") => return Some(Type::Text),
            Some(next) if related(next) => return self.operand_after(tokens, at + 2),
            _ => {}
        }
        // A member of a list: `column IN ($1, $2)`, or an argument.
        let open = enclosing(tokens, at)?;
        let before = open.checked_sub(1)?;
        match &tokens[before] {
            token if token.is("in") => {
                let not = usize::from(before > 0 && tokens[before - 1].is("not"));
                self.operand_before(tokens, before - not)
            }
            token if token.is("_pico_bucket") || token.text.starts_with("pico_") => {
                Some(Type::Text)
            }
            token if token.is("coalesce") => {
                let end = closing("", tokens, open).ok()?;
                Some(self.call("coalesce", &tokens[open + 1..end]))
                    .filter(|found| *found != Type::Unknown)
            }
            _ => None,
        }
    }

    /// The type of what ends before `at`: a name, a literal, a cast, or a call.
    fn operand_before(&self, tokens: &[Token], at: usize) -> Option<Type> {
        let last = at.checked_sub(1)?;
        if last > 0 && tokens[last - 1].is("::") {
            return type_at("", tokens, last).ok().map(|(found, _)| found);
        }
        if !tokens[last].is(")") {
            return self.operand(&tokens[last]);
        }
        let open = enclosing(tokens, last)?;
        let called = open
            .checked_sub(1)
            .filter(|name| tokens[*name].name().is_some() && !is_keyword(&tokens[*name]));
        self.known(&tokens[called.unwrap_or(open)..at])
    }

    fn operand_after(&self, tokens: &[Token], at: usize) -> Option<Type> {
        let follows = |word: &str| tokens.get(at + 1).is_some_and(|token| token.is(word));
        if follows("(") && tokens[at].name().is_some() {
            let end = closing("", tokens, at + 1).ok()?;
            return self.known(&tokens[at..=end]);
        }
        self.operand(tokens.get(if follows(".") { at + 2 } else { at })?)
    }

    fn known(&self, tokens: &[Token]) -> Option<Type> {
        Some(self.expression(tokens)).filter(|found| *found != Type::Unknown)
    }

    fn operand(&self, token: &Token) -> Option<Type> {
        match token.kind {
            Kind::Symbol => None,
            Kind::Word | Kind::Quoted => self.column(&token.text),
            _ => Some(self.token(token)).filter(|found| *found != Type::Unknown),
        }
    }
}

fn enclosing(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0;
    for index in (0..at).rev() {
        if tokens[index].is(")") {
            depth += 1;
        } else if tokens[index].is("(") {
            if depth == 0 {
                return Some(index);
            }
            depth -= 1;
        }
    }
    None
}
