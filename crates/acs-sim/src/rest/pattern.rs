//! Whether a number matches a voice route: as much of .NET's regular expressions as is written for
//! telephone numbers, tried by backtracking. Its own, so that the product's reading of the same
//! patterns is not judged by itself.

/// Steps after which a pattern is given up as not matching.
const MOST_STEPS: u32 = 100_000;

#[derive(Debug)]
enum Node {
    Start,
    End,
    Any,
    Is(char),
    /// Ranges, and whether they are meant the other way round.
    Class(Vec<(char, char)>, bool),
    Group(Vec<Vec<Self>>),
    /// What must follow, or must not.
    Ahead(Vec<Vec<Self>>, bool),
    Repeat(Box<Self>, u32, Option<u32>),
}

/// Whether `number` has a part that matches; a pattern that is not understood matches nothing.
pub(super) fn matches(pattern: &str, number: &str) -> bool {
    let mut reader = Reader(pattern.chars().collect(), 0);
    let Some(ways) = reader.ways(0) else {
        return false;
    };
    if reader.1 != reader.0.len() {
        return false;
    }
    let text: Vec<char> = number.chars().collect();
    let mut tried = Tried {
        text: &text,
        steps: 0,
    };
    (0..=text.len()).any(|from| tried.any(&ways, from, &mut |_, _| true))
}

struct Reader(Vec<char>, usize);

impl Reader {
    fn peek(&self) -> Option<char> {
        self.0.get(self.1).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.1 += 1;
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let there = self.0[self.1..].iter().copied().take(text.len());
        let eaten = there.eq(text.chars());
        if eaten {
            self.1 += text.len();
        }
        eaten
    }

    fn ways(&mut self, depth: u32) -> Option<Vec<Vec<Node>>> {
        if depth > 20 {
            return None;
        }
        let mut ways = vec![Vec::new()];
        while let Some(c) = self.peek() {
            match c {
                ')' => break,
                '|' => {
                    self.1 += 1;
                    ways.push(Vec::new());
                }
                _ => {
                    let atom = self.atom(depth)?;
                    let node = self.repeated(atom)?;
                    ways.last_mut()?.push(node);
                }
            }
        }
        Some(ways)
    }

    fn atom(&mut self, depth: u32) -> Option<Node> {
        Some(match self.next()? {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Any,
            '[' => self.class()?,
            '\\' => self.escaped()?,
            '(' => {
                let ahead = [("?=", true), ("?!", false)];
                let ahead = ahead.into_iter().find(|(mark, _)| self.eat(mark));
                if ahead.is_none() && !self.eat("?:") && self.peek() == Some('?') {
                    return None;
                }
                let ways = self.ways(depth + 1)?;
                if !self.eat(")") {
                    return None;
                }
                match ahead {
                    Some((_, wanted)) => Node::Ahead(ways, wanted),
                    None => Node::Group(ways),
                }
            }
            '*' | '+' | '?' => return None,
            c => Node::Is(c),
        })
    }

    fn escaped(&mut self) -> Option<Node> {
        Some(match self.next()? {
            'd' => Node::Class(vec![('0', '9')], false),
            'D' => Node::Class(vec![('0', '9')], true),
            c if c.is_ascii_alphanumeric() => return None,
            c => Node::Is(c),
        })
    }

    fn class(&mut self) -> Option<Node> {
        let other = self.eat("^");
        let mut ranges = Vec::new();
        loop {
            let from = match self.next()? {
                ']' => break,
                '\\' => match self.escaped()? {
                    Node::Is(c) => c,
                    Node::Class(digits, false) => {
                        ranges.extend(digits);
                        continue;
                    }
                    Node::Start
                    | Node::End
                    | Node::Any
                    | Node::Class(..)
                    | Node::Group(_)
                    | Node::Ahead(..)
                    | Node::Repeat(..) => return None,
                },
                c => c,
            };
            let to = match (self.peek(), self.0.get(self.1 + 1)) {
                (Some('-'), Some(end)) if *end != ']' => {
                    let end = *end;
                    self.1 += 2;
                    end
                }
                _ => from,
            };
            ranges.push((from, to));
        }
        Some(Node::Class(ranges, other))
    }

    fn repeated(&mut self, atom: Node) -> Option<Node> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let rest: String = self.0[self.1 + 1..].iter().collect();
                let (figures, _) = rest.split_once('}')?;
                let (least, most) = match figures.split_once(',') {
                    None => (figures, Some(figures)),
                    Some((least, "")) => (least, None),
                    Some((least, most)) => (least, Some(most)),
                };
                let most = most.map(str::parse).transpose().ok()?;
                self.1 += figures.len() + 1;
                (least.parse().ok()?, most)
            }
            Some(_) | None => return Some(atom),
        };
        self.1 += 1;
        // A lazy one matches the same numbers.
        self.eat("?");
        Some(Node::Repeat(Box::new(atom), least, most))
    }
}

/// What is tried on a text, and how much was.
struct Tried<'a> {
    text: &'a [char],
    steps: u32,
}

type Then<'a, 't> = &'a mut dyn FnMut(&mut Tried<'t>, usize) -> bool;

impl<'t> Tried<'t> {
    fn any(&mut self, ways: &[Vec<Node>], at: usize, then: Then<'_, 't>) -> bool {
        ways.iter().any(|way| self.all(way, at, then))
    }

    fn all(&mut self, way: &[Node], at: usize, then: Then<'_, 't>) -> bool {
        match way.split_first() {
            None => then(self, at),
            Some((first, rest)) => self.one(first, at, &mut |tried, at| tried.all(rest, at, then)),
        }
    }

    fn one(&mut self, node: &Node, at: usize, then: Then<'_, 't>) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return false;
        }
        let fits = |fits: &dyn Fn(char) -> bool| self.text.get(at).is_some_and(|c| fits(*c));
        let within = |ranges: &[(char, char)], c: char| {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
        };
        match node {
            Node::Start => at == 0 && then(self, at),
            Node::End => at == self.text.len() && then(self, at),
            Node::Any => fits(&|_| true) && then(self, at + 1),
            Node::Is(wanted) => fits(&|c| c == *wanted) && then(self, at + 1),
            Node::Class(ranges, other) => {
                fits(&|c| within(ranges, c) != *other) && then(self, at + 1)
            }
            Node::Group(ways) => self.any(ways, at, then),
            Node::Ahead(ways, wanted) => {
                self.any(ways, at, &mut |_, _| true) == *wanted && then(self, at)
            }
            Node::Repeat(inner, least, most) => self.repeat(inner, *least, *most, at, then),
        }
    }

    fn repeat(
        &mut self,
        inner: &Node,
        least: u32,
        most: Option<u32>,
        at: usize,
        then: Then<'_, 't>,
    ) -> bool {
        if most != Some(0) {
            let more = self.one(inner, at, &mut |tried, next| {
                // What matches nothing would be repeated for ever.
                let moved = next > at || least > 0;
                let (least, most) = (least.saturating_sub(1), most.map(|most| most - 1));
                moved && tried.repeat(inner, least, most, next, then)
            });
            if more {
                return true;
            }
        }
        least == 0 && then(self, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_as_the_service_says() {
        for (pattern, number, wanted) in [
            (r"^\+1[0-9]{10}$", "+14255550100", true),
            (r"^\+1[0-9]{10}$", "+142555501000", false),
            (r"^\+1(425|206)\d{7}$", "+12065550100", true),
            (r"^\+1(425|206)\d{7}$", "+13605550100", false),
            (r"^\+(?!1800)[1-9][0-9]{3,23}$", "+18005550100", false),
            (r"^\+(?!1800)[1-9][0-9]{3,23}$", "+18015550100", true),
            (
                r"^(?!(?:\+1800[0-9]*|\+1888[0-9]*)$)\+1[0-9]*$",
                "+18885550100",
                false,
            ),
            (
                r"^(?!(?:\+1800[0-9]*|\+1888[0-9]*)$)\+1[0-9]*$",
                "+14255550100",
                true,
            ),
            ("0.*", "+14255550100", true),
            ("555", "+14255550100", true),
            (r"^\+?1425", "14255550100", true),
            (r"^[^+]", "+14255550100", false),
            ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            (r"^\w+$", "14255550100", false),
            ("(", "14255550100", false),
            ("", "14255550100", true),
        ] {
            assert_eq!(matches(pattern, number), wanted, "{pattern} {number}");
        }
    }
}
