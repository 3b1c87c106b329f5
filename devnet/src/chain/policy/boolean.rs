//! The expression of a policy: words, numbers, `+ - *`, comparisons, `&` and `|`, parentheses.
//!
//! A participant's word counts 1 once it has approved, else 0; so `a + b + c > 1` is two of three. Definitions come
//! from transactions: length and nesting are bounded, and arithmetic saturates.

/// Longest definition, bytes.
const DEFINITION_BYTES: usize = 16_384;
/// Deepest nesting of parentheses.
const NESTING: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Number(u128),
    Operator(&'static str),
}

const OPERATORS: [&str; 15] = [">=", "<=", "==", "!=", "&&", "||", ">", "<", "=", "&", "|", "+", "-", "*", "!"];

/// Does the expression hold, each word having the value that `value` gives it?
pub(super) fn holds(definition: &str, value: &dyn Fn(&str) -> Option<u128>) -> Result<bool, String> {
    let tokens = tokens(definition)?;
    let mut reader = Reader { tokens: &tokens, place: 0, depth: 0, value };
    let result = reader.either()?;
    if reader.place != tokens.len() {
        return Err(format!("policy definition has more after its end: {definition}"));
    }
    Ok(result > 0)
}

/// What a new definition must be: only participants and numbers, and a last number that can be exceeded.
pub(super) fn check(definition: &str, participants: &[String]) -> Result<(), String> {
    let tokens = tokens(definition)?;
    for token in &tokens {
        if let Token::Word(word) = token
            && !participants.contains(word)
        {
            return Err(format!("policy definition names {word}, which is no participant"));
        }
    }
    if let Some(Token::Number(number)) = tokens.iter().rev().find(|token| matches!(token, Token::Number(_)))
        && *number >= participants.len() as u128
    {
        return Err(format!("policy asks for more than {number} of {} participants", participants.len()));
    }
    holds(definition, &|_| Some(1)).map(|_| ())
}

fn tokens(definition: &str) -> Result<Vec<Token>, String> {
    if definition.len() > DEFINITION_BYTES {
        return Err(format!("policy definition is longer than {DEFINITION_BYTES} bytes"));
    }
    let mut tokens = Vec::new();
    let mut rest = definition.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = if first.is_ascii_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(word(&rest[..end]));
            end
        } else if let Some(bracket) = ["(", ")"].into_iter().find(|bracket| rest.starts_with(bracket)) {
            tokens.push(Token::Operator(bracket));
            1
        } else if let Some(operator) = OPERATORS.into_iter().find(|operator| rest.starts_with(operator)) {
            tokens.push(Token::Operator(operator));
            operator.len()
        } else {
            return Err(format!("policy definition has an unexpected {first:?}"));
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

fn word(text: &str) -> Token {
    match (text, text.parse()) {
        (_, Ok(number)) => Token::Number(number),
        ("true", _) => Token::Number(1),
        ("false", _) => Token::Number(0),
        ("and" | "AND", _) => Token::Operator("&"),
        ("or" | "OR", _) => Token::Operator("|"),
        _ => Token::Word(text.to_owned()),
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    place: usize,
    depth: usize,
    value: &'a dyn Fn(&str) -> Option<u128>,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &[&str]) -> Option<&'static str> {
        match self.tokens.get(self.place) {
            Some(Token::Operator(operator)) if wanted.contains(operator) => {
                self.place += 1;
                Some(operator)
            }
            _ => None,
        }
    }

    fn either(&mut self) -> Result<u128, String> {
        let mut left = self.both()?;
        while self.take(&["|", "||"]).is_some() {
            let right = self.both()?;
            left = u128::from(left > 0 || right > 0);
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<u128, String> {
        let mut left = self.comparison()?;
        while self.take(&["&", "&&"]).is_some() {
            let right = self.comparison()?;
            left = u128::from(left > 0 && right > 0);
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<u128, String> {
        let mut left = self.sum()?;
        while let Some(operator) = self.take(&[">=", "<=", "==", "!=", ">", "<", "="]) {
            let right = self.sum()?;
            left = u128::from(match operator {
                ">=" => left >= right,
                "<=" => left <= right,
                ">" => left > right,
                "<" => left < right,
                "!=" => left != right,
                _ => left == right,
            });
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<u128, String> {
        let mut left = self.product()?;
        while let Some(operator) = self.take(&["+", "-"]) {
            let right = self.product()?;
            left = if operator == "+" { left.saturating_add(right) } else { left.saturating_sub(right) };
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<u128, String> {
        let mut left = self.atom()?;
        while self.take(&["*"]).is_some() {
            left = left.saturating_mul(self.atom()?);
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<u128, String> {
        self.depth += 1;
        if self.depth > NESTING {
            return Err(format!("policy definition is nested deeper than {NESTING}"));
        }
        let value = self.bare_atom();
        self.depth -= 1;
        value
    }

    fn bare_atom(&mut self) -> Result<u128, String> {
        if self.take(&["!"]).is_some() {
            return Ok(u128::from(self.atom()? == 0));
        }
        if self.take(&["("]).is_some() {
            let inner = self.either()?;
            return match self.take(&[")"]) {
                Some(_) => Ok(inner),
                None => Err("policy definition lacks a closing parenthesis".to_owned()),
            };
        }
        let token = self.tokens.get(self.place).cloned();
        self.place += 1;
        match token {
            Some(Token::Number(number)) => Ok(number),
            Some(Token::Word(word)) => {
                (self.value)(&word).ok_or_else(|| format!("policy definition names {word}, which has no value"))
            }
            _ => Err("policy definition ends too early".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_for(definition: &str, approvers: &[&str]) -> bool {
        holds(definition, &|word| Some(u128::from(approvers.contains(&word)))).expect("an expression")
    }

    #[test]
    fn two_of_three_need_two() {
        let rule = "zen1a + zen1b + zen1c > 1";
        assert!(!holds_for(rule, &[]));
        assert!(!holds_for(rule, &["zen1a"]));
        assert!(holds_for(rule, &["zen1a", "zen1c"]));
    }

    #[test]
    fn words_combine_with_and_or_and_parentheses() {
        assert!(holds_for("(a & b) | c", &["c"]));
        assert!(!holds_for("a and (b or c)", &["a"]));
        assert!(holds_for("a and (b or c)", &["a", "c"]));
        assert!(holds_for("!a", &[]));
    }

    #[test]
    fn a_definition_may_only_name_participants() {
        let people = ["zen1a".to_owned(), "zen1b".to_owned()];
        assert!(check("zen1a + zen1b > 1", &people).is_ok());
        assert!(check("zen1a + zen1b > 2", &people).is_err());
        assert!(check("zen1a & TXVALUE < 1", &people).is_err());
        assert!(check("zen1a +", &people).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_without_a_crash() {
        let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(holds(&deep, &|_| None).is_err());
        let deep = format!("{}1", "!".repeat(5_000));
        assert!(holds(&deep, &|_| None).is_err());
    }
}
