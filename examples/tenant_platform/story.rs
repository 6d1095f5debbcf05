//! The narrator: what was asked, what the answer was, and why; and whether it is the answer that was expected.

use std::fmt::{self, Display};

/// An answer that was not the expected one ends the story.
#[derive(Debug)]
pub(crate) struct Unexpected(String);

impl Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected answer: {}", self.0)
    }
}

impl std::error::Error for Unexpected {}

/// A refusal with a stable name.
pub(crate) trait Coded: Display {
    fn code(&self) -> &str;
}

impl Coded for qsec::Error {
    fn code(&self) -> &str {
        self.code()
    }
}

/// Counts chapters and answers.
#[derive(Debug, Default)]
pub(crate) struct Story {
    chapter: u32,
    granted: u32,
    refused: u32,
}

impl Story {
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    /// Something that must succeed. `reason` reads the answer.
    pub(crate) fn yes<T, E: Display>(
        &mut self,
        asked: &str,
        answer: Result<T, E>,
        reason: impl FnOnce(&T) -> String,
    ) -> Result<T, Unexpected> {
        match answer {
            Ok(value) => {
                self.granted += 1;
                println!("   yes  {asked}\n        {}", reason(&value));
                Ok(value)
            }
            Err(error) => Err(Unexpected(format!("`{asked}` was refused: {error}"))),
        }
    }

    /// Something that must be refused, with this code and no other.
    pub(crate) fn no<T>(&mut self, asked: &str, answer: Result<T, impl Coded>, code: &str) -> Result<(), Unexpected> {
        match answer {
            Err(error) if error.code() == code => {
                self.refused += 1;
                println!("   no   {asked}\n        {code}: {error}");
                Ok(())
            }
            Err(error) => {
                Err(Unexpected(format!("`{asked}` was refused as `{}`, not as `{code}`: {error}", error.code())))
            }
            Ok(_) => Err(Unexpected(format!("`{asked}` was granted"))),
        }
    }

    /// A fact that must hold.
    pub(crate) fn holds(&mut self, claim: &str, holds: bool, reason: impl Display) -> Result<(), Unexpected> {
        self.yes(claim, if holds { Ok(()) } else { Err(reason.to_string()) }, |()| reason.to_string())
    }

    pub(crate) fn end(&self) {
        println!(
            "\nAll {} answers were the expected ones: {} yes, {} no.",
            self.granted + self.refused,
            self.granted,
            self.refused
        );
    }
}
