//! Vocabularies: the words that a model knows, and text as their numbers.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Tokens;
use crate::Error;
use crate::error::require;

/// The most words: a layer has a column for each, and no more than `nn::WIDEST`.
const MOST: usize = (1 << 20) - 2;

/// How an unknown word is shown. A text may have it, as the Penn Treebank does.
const UNKNOWN_WORD: &str = "<unk>";

/// The words of a model. Number 0 is the end of a sentence, 1 the unknown word; the words follow, the most frequent one first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vocabulary {
    tokens: Tokens,
    words: Vec<String>,
    #[serde(skip)]
    numbers: OnceLock<HashMap<String, u32>>,
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Vocabulary) -> bool {
        (self.tokens, &self.words) == (other.tokens, &other.words)
    }
}

impl Vocabulary {
    /// The number of the end of a sentence.
    pub const END: u32 = 0;

    /// The number of every word that is not in the vocabulary.
    pub const UNKNOWN: u32 = 1;

    /// The first word's number.
    const FIRST: u32 = 2;

    /// A vocabulary of words in their order. Bytes need none: all 256 are known.
    pub fn of_words(tokens: Tokens, words: impl IntoIterator<Item = String>) -> Vocabulary {
        Vocabulary { tokens, words: words.into_iter().collect(), numbers: OnceLock::new() }
    }

    /// All tokens of lines.
    pub(super) fn of_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>, tokens: Tokens) -> Vocabulary {
        if tokens == Tokens::Byte {
            return Vocabulary::of_words(tokens, []);
        }
        let mut words = BTreeSet::<&str>::new();
        for line in lines {
            words.extend(cut(std::str::from_utf8(line).unwrap_or_default(), tokens));
        }
        words.remove(UNKNOWN_WORD);
        Vocabulary::of_words(tokens, words.into_iter().map(str::to_owned))
    }

    /// The most frequent of its words in a text, at most `most` of them, each at least `min_count` times; those that are equally
    /// frequent in their order here. The new number of each word comes with it.
    pub(super) fn of_frequent(&self, text: &[u32], most: usize, min_count: usize) -> (Vocabulary, Vec<u32>) {
        let mut numbers: Vec<u32> = (0..self.len() as u32).collect();
        if self.tokens == Tokens::Byte {
            return (self.clone(), numbers);
        }
        let mut counts = vec![0; self.len()];
        text.iter().for_each(|word| counts[*word as usize] += 1);
        let mut kept = numbers.split_off(Vocabulary::FIRST as usize);
        kept.retain(|word| counts[*word as usize] >= min_count);
        kept.sort_by_key(|word| std::cmp::Reverse(counts[*word as usize]));
        kept.truncate(most);
        numbers.resize(self.len(), Vocabulary::UNKNOWN);
        kept.iter().zip(Vocabulary::FIRST..).for_each(|(word, number)| numbers[*word as usize] = number);
        (Vocabulary::of_words(self.tokens, kept.iter().map(|word| self.word(*word).to_owned())), numbers)
    }

    /// What text is cut into.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The number of different tokens, with the end and the unknown word: the numbers that the decoder outputs for a position.
    pub fn len(&self) -> usize {
        let words = if self.tokens == Tokens::Byte { 1 << u8::BITS } else { self.words.len() };
        words + Vocabulary::FIRST as usize
    }

    /// Whether it has no words of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == Vocabulary::FIRST as usize
    }

    /// Checks that a model can have it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is empty, or has too many words.
    pub fn validate(&self) -> Result<(), Error> {
        let words = self.len() - Vocabulary::FIRST as usize;
        require("--vocabulary", (1..=MOST).contains(&words), &format!("from 1 to {MOST} words"), words)
    }

    /// The tokens of a line as numbers.
    pub fn encode(&self, line: &[u8]) -> Vec<u32> {
        if self.tokens == Tokens::Byte {
            return line.iter().map(|byte| u32::from(*byte) + Vocabulary::FIRST).collect();
        }
        let numbers = self.numbers.get_or_init(|| self.words.iter().cloned().zip(Vocabulary::FIRST..).collect());
        let text = std::str::from_utf8(line).unwrap_or_default();
        cut(text, self.tokens).map(|token| numbers.get(token).copied().unwrap_or(Vocabulary::UNKNOWN)).collect()
    }

    /// Numbers as text, up to the first end. Words have blanks between them, but none before punctuation that closes.
    pub fn decode(&self, numbers: &[u32]) -> String {
        let words = numbers.iter().take_while(|number| **number != Vocabulary::END);
        match self.tokens {
            Tokens::Byte => {
                let bytes = words.map(|number| number.checked_sub(Vocabulary::FIRST).map_or(b'?', |byte| byte as u8));
                String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
            }
            Tokens::Char => words.map(|number| self.word(*number)).collect(),
            Tokens::Word => {
                let mut text = String::new();
                for word in words.map(|number| self.word(*number)) {
                    let closes = word.chars().all(|c| ".,;:!?)]}%…’”»".contains(c));
                    let opened = text.ends_with(['(', '[', '{', '«', '“', '‘']);
                    if !text.is_empty() && !closes && !opened {
                        text.push(' ');
                    }
                    text.push_str(word);
                }
                text
            }
        }
    }

    /// A word by its number.
    fn word(&self, number: u32) -> &str {
        let known = number.checked_sub(Vocabulary::FIRST).and_then(|index| self.words.get(index as usize));
        known.map_or(UNKNOWN_WORD, String::as_str)
    }
}

/// The tokens of a text.
fn cut(text: &str, tokens: Tokens) -> Box<dyn Iterator<Item = &str> + '_> {
    match tokens {
        Tokens::Word => Box::new(text.split_whitespace().flat_map(cut_word)),
        Tokens::Char | Tokens::Byte => Box::new(text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()])),
    }
}

/// What stands between two blanks, with punctuation apart. `<unk>` and its kind stay whole, and so do hyphens and apostrophes between
/// letters, and points and commas between digits.
fn cut_word(word: &str) -> Vec<&str> {
    if word.len() > 2 && word.starts_with('<') && word.ends_with('>') {
        return vec![word];
    }
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let belongs = |index: usize| {
        let c = chars[index].1;
        let both = |kind: fn(char) -> bool| {
            index > 0 && kind(chars[index - 1].1) && chars.get(index + 1).is_some_and(|(_, c)| kind(*c))
        };
        is_letter(c) || ("'’-".contains(c) && both(is_letter)) || (".,".contains(c) && both(|c| c.is_ascii_digit()))
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for (index, (at, c)) in chars.iter().enumerate() {
        if !belongs(index) {
            parts.extend([start..*at, *at..*at + c.len_utf8()]);
            start = at + c.len_utf8();
        }
    }
    parts.push(start..word.len());
    parts.into_iter().filter(|range| !range.is_empty()).map(|range| &word[range]).collect()
}

/// Whether a character is part of a word. Marks that combine with letters are no punctuation either.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_punctuation_are_apart() {
        for (text, tokens) in [
            ("the sea , calm .", "the|sea|,|calm|."),
            ("It's \"well-known\": 3.5%, (e.g. $1,000)!", "It's|\"|well-known|\"|:|3.5|%|,|(|e|.|g|.|$|1,000|)|!"),
            ("<unk> -- 'tis", "<unk>|-|-|'|tis"),
            ("Grüße, мир。日本", "Grüße|,|мир|。|日本"),
            ("  ", ""),
        ] {
            assert_eq!(cut(text, Tokens::Word).collect::<Vec<_>>().join("|"), tokens);
        }
        assert_eq!(cut("aä .", Tokens::Char).collect::<Vec<_>>(), ["a", "ä", " ", "."]);
    }

    #[test]
    fn the_most_frequent_words_come_first() {
        let lines = ["b a b c", "b a <unk> d"].map(str::as_bytes);
        let all = Vocabulary::of_lines(lines, Tokens::Word);
        let text = lines.map(|line| all.encode(line)).concat();
        let of = |most, min_count| all.of_frequent(&text, most, min_count).0;
        let (few, numbers) = all.of_frequent(&text, 2, 1);
        let renumbered: Vec<u32> = text.iter().map(|word| numbers[*word as usize]).collect();
        assert_eq!(renumbered, lines.map(|line| few.encode(line)).concat());
        assert_eq!(of(10, 1).words, ["b", "a", "c", "d"]);
        assert_eq!((of(10, 2).words, of(3, 1).words.len()), (vec!["b".to_owned(), "a".into()], 3));
        assert_eq!(of(10, 1).encode(b"a <unk> z b"), [3, 1, 1, 2]);
        assert!(of(10, 9).is_empty() && of(10, 9).validate().is_err());
    }

    #[test]
    fn text_comes_back() {
        let of = |tokens, text: &str| {
            let vocabulary = Vocabulary::of_lines([text.as_bytes()], tokens);
            vocabulary.decode(&[vocabulary.encode(text.as_bytes()), vec![Vocabulary::END, 5]].concat())
        };
        for text in ["the sea (it is calm), he said: 3.5%!", "grüß dich"] {
            for tokens in [Tokens::Word, Tokens::Char, Tokens::Byte] {
                assert_eq!(of(tokens, text), text);
            }
        }
        let json = serde_json::to_string(&Vocabulary::of_words(Tokens::Char, ["ä".to_owned()])).unwrap();
        assert_eq!(json, r#"{"tokens":"char","words":["ä"]}"#);
        let again: Vocabulary = serde_json::from_str(&json).unwrap();
        assert_eq!((again.encode("äx".as_bytes()), again.len()), (vec![2, 1], 3));
    }
}
