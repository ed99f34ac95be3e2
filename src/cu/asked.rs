//! What a process asks for by its tags, and the most that a unit gives. A process that asks for more is not
//! evaluated here: it never runs with less.

use crate::{
    disk::{Refusal, RefusalCode, Tag},
    wire::schedule::first,
};

/// The most that processes may ask for. 0 is any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedMax {
    /// `Memory-Limit`, in bytes.
    pub memory_bytes: u64,
    /// `Compute-Limit`, in the format's own measure.
    pub compute: u64,
}

/// Reads an amount, if a text is one.
type Amount = fn(&str) -> Option<u64>;

impl AskedMax {
    /// Refuses a process that asks for more. Its own tags go before its module's.
    pub(crate) fn admit(&self, process: &[Tag], module: &[Tag]) -> Result<(), Refusal> {
        let asked: [(&str, u64, Amount); 2] = [
            ("Memory-Limit", self.memory_bytes, bytes_of),
            ("Compute-Limit", self.compute, |text| text.trim().parse().ok()),
        ];
        for (name, most, read) in asked {
            let Some(text) = first(process, name).or_else(|| first(module, name)) else { continue };
            // What is no amount is no limit, as formats read it.
            if read(text).is_some_and(|amount| most > 0 && amount > most) {
                let text: String = text.chars().take(64).collect();
                let note = format!(
                    "the process asks for a {name} of {text}, and this unit gives at most {most}: ask its \
                     operator, or another unit"
                );
                return Err(Refusal::new(RefusalCode::TooBig, note));
            }
        }
        Ok(())
    }
}

/// The bytes of `500-mb`, `1gb` or `1024`: units are powers of 1024.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.replace('-', "").trim().to_ascii_lowercase();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim() {
        "" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    Some(number.saturating_mul(1 << shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_the_network_writes_them() {
        for (text, bytes) in [
            ("500-mb", Some(500 << 20)),
            ("1GB", Some(1 << 30)),
            ("17", Some(17)),
            ("99999999-pb", Some(u64::MAX)),
            ("lots-mb", None),
            ("", None),
        ] {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_process_goes_before_its_module_and_the_tag_is_named() {
        let max = AskedMax { memory_bytes: 1 << 20, compute: 10 };
        let tags = |name: &str, value: &str| vec![Tag::new(name, value)];
        assert!(max.admit(&[], &tags("Memory-Limit", "1-mb")).is_ok());
        assert!(max.admit(&tags("Memory-Limit", "1-kb"), &tags("Memory-Limit", "1-gb")).is_ok());
        let no = max.admit(&tags("Compute-Limit", "11"), &[]).map_err(|no| no.to_string());
        assert!(
            no.is_err_and(|no| no.contains("Compute-Limit of 11") && no.contains("at most 10"))
        );
        assert!(AskedMax::default().admit(&tags("Compute-Limit", "11"), &[]).is_ok());
    }
}
