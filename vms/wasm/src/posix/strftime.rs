//! `strftime`, with English names, in two passes of textual replacement: a `%` that one replacement
//! leaves can meet the next, and guests may see it.

use super::errno::{Fail, Sys};
use super::limits::{DATE_MS, STRFTIME_FORMAT, STRFTIME_ZONE};
use super::time::{DAY_MS, Tm, date, days_to_month, is_leap, month_days, short_year};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Conversions that stand for others, in the order of their replacement.
const SHORTHANDS: [(&str, &str); 28] = [
    ("%c", "%a %b %d %H:%M:%S %Y"),
    ("%D", "%m/%d/%y"),
    ("%F", "%Y-%m-%d"),
    ("%h", "%b"),
    ("%r", "%I:%M:%S %p"),
    ("%R", "%H:%M"),
    ("%T", "%H:%M:%S"),
    ("%x", "%m/%d/%y"),
    ("%X", "%H:%M:%S"),
    ("%Ec", "%c"),
    ("%EC", "%C"),
    ("%Ex", "%m/%d/%y"),
    ("%EX", "%H:%M:%S"),
    ("%Ey", "%y"),
    ("%EY", "%Y"),
    ("%Od", "%d"),
    ("%Oe", "%e"),
    ("%OH", "%H"),
    ("%OI", "%I"),
    ("%Om", "%m"),
    ("%OM", "%M"),
    ("%OS", "%S"),
    ("%Ou", "%u"),
    ("%OU", "%U"),
    ("%OV", "%V"),
    ("%Ow", "%w"),
    ("%OW", "%W"),
    ("%Oy", "%y"),
];

/// Conversions with a value, in the order of their replacement.
const VALUES: &str = "aAbBCdegGHIjmMnpStuUVwWyYzZ";

/// What follows the nine words of a `struct tm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Zone<'a> {
    /// Seconds east of UTC.
    pub(crate) offset: i64,
    /// The name's bytes; none if its pointer is null.
    pub(crate) name: &'a [u8],
}

/// The text with its NUL, or `None` if it is longer than `max` bytes: then the import answers 0 and
/// writes nothing, else it answers the length without the NUL. So it is, too, for a format or a
/// zone's name longer than anyone's.
pub(crate) fn strftime(format: &[u8], tm: &Tm, zone: Zone<'_>, max: u64) -> Sys<Option<Vec<u8>>> {
    if format.len() > STRFTIME_FORMAT || zone.name.len() > STRFTIME_ZONE {
        return Ok(None);
    }
    let mut text = String::from_utf8_lossy(format).into_owned();
    for (short, long) in SHORTHANDS {
        text = text.replace(short, long);
    }
    text = text.replace("%%", "\0\0");
    for letter in VALUES.chars() {
        let rule = format!("%{letter}");
        if text.contains(&rule) {
            text = text.replace(&rule, &value(letter, tm, zone)?);
        }
    }
    let mut bytes = text.replace("%%", "%").replace("\0\0", "%").into_bytes();
    bytes.push(0);
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

fn value(letter: char, tm: &Tm, zone: Zone<'_>) -> Sys<String> {
    let year = i64::from(tm.year) + 1900;
    let (wday, yday) = (i64::from(tm.wday), i64::from(tm.yday));
    Ok(match letter {
        'a' => short(name(&DAYS, tm.wday))?,
        'A' => name(&DAYS, tm.wday).unwrap_or("undefined").to_owned(),
        'b' => short(name(&MONTHS, tm.mon))?,
        'B' => name(&MONTHS, tm.mon).unwrap_or("undefined").to_owned(),
        'C' => pad(year / 100, 2, '0'),
        'd' => pad(tm.mday, 2, '0'),
        'e' => pad(tm.mday, 2, ' '),
        'g' => tail(week_year(year, yday)?),
        'G' => week_year(year, yday)?.to_string(),
        'H' => pad(tm.hour, 2, '0'),
        'I' => pad(half_day(tm.hour), 2, '0'),
        'j' => day_of_year(year, tm),
        'm' => pad(i64::from(tm.mon) + 1, 2, '0'),
        'M' => pad(tm.min, 2, '0'),
        'n' => "\n".to_owned(),
        'p' => if (0..12).contains(&tm.hour) { "AM" } else { "PM" }.to_owned(),
        'S' => pad(tm.sec, 2, '0'),
        't' => "\t".to_owned(),
        'u' => if wday == 0 { 7 } else { wday }.to_string(),
        'U' => pad((yday + 7 - wday).div_euclid(7), 2, '0'),
        'V' => pad(iso_week(tm), 2, '0'),
        'w' => wday.to_string(),
        'W' => pad((yday + 7 - (wday + 6) % 7).div_euclid(7), 2, '0'),
        'y' => tail(year),
        'Y' => year.to_string(),
        'z' => offset(zone.offset),
        _ => String::from_utf8_lossy(zone.name).into_owned(),
    })
}

fn name<const N: usize>(names: &[&'static str; N], index: i32) -> Option<&'static str> {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied()
}

/// The first three letters. The reference fails on a name that is not there.
fn short(name: Option<&str>) -> Sys<String> {
    let name = name.ok_or(Fail::abort("strftime of no such day or month"))?;
    Ok(name.get(..3).unwrap_or(name).to_owned())
}

fn pad(number: impl ToString, digits: usize, with: char) -> String {
    let text = number.to_string();
    let missing = digits.saturating_sub(text.len());
    std::iter::repeat_n(with, missing).chain(text.chars()).collect()
}

/// All but the first two characters.
fn tail(year: i64) -> String {
    year.to_string().get(2..).unwrap_or_default().to_owned()
}

fn half_day(hour: i32) -> i32 {
    match hour {
        0 => 12,
        13.. => hour - 12,
        _ => hour,
    }
}

/// The day of the year, from the date. Months beyond the year make no number.
fn day_of_year(year: i64, tm: &Tm) -> String {
    match usize::try_from(tm.mon).unwrap_or(0) {
        13.. => "NaN".to_owned(),
        months => {
            pad(month_days(year).iter().take(months).sum::<i64>() + i64::from(tm.mday), 3, '0')
        }
    }
}

fn iso_week(tm: &Tm) -> i64 {
    let (wday, yday, year) = (i64::from(tm.wday), i64::from(tm.yday), i64::from(tm.year));
    let mut week = (yday + 7 - (wday + 6) % 7).div_euclid(7);
    if (wday + 371 - yday - 2) % 7 <= 2 {
        week += 1;
    }
    if week == 0 {
        let last = (wday + 7 - yday - 1) % 7;
        return if last == 4 || last == 5 && is_leap(year % 400 - 1) { 53 } else { 52 };
    }
    if week == 53 {
        let first = (wday + 371 - yday) % 7;
        if first != 4 && (first != 3 || !is_leap(year)) {
            return 1;
        }
    }
    week
}

/// The year that the day's week belongs to. The reference fails where no `Date` has the days it
/// asks for.
fn week_year(year: i64, yday: i64) -> Sys<i64> {
    let days = days_to_month(short_year(year), 0) + yday.max(0);
    let day = date(days);
    let fourth = |year| days_to_month(short_year(year), 0) + 3;
    if [days, fourth(day.0), fourth(day.0 + 1)].iter().any(|days| days.abs() > DATE_MS / DAY_MS) {
        return Err(Fail::abort("week of no date"));
    }
    Ok(if first_week(day.0) > day {
        day.0 - 1
    } else if first_week(day.0 + 1) > day {
        day.0
    } else {
        day.0 + 1
    })
}

/// The Monday of the week with the fourth of January.
fn first_week(year: i64) -> (i64, i64, i64) {
    let fourth = days_to_month(short_year(year), 0) + 3;
    let (full, ..) = date(fourth);
    match (fourth + 4).rem_euclid(7) {
        0 => (short_year(full - 1), 11, 29),
        1 => (full, 0, 4),
        2 => (short_year(full), 0, 3),
        3 => (short_year(full), 0, 2),
        4 => (short_year(full), 0, 1),
        5 => (short_year(full - 1), 11, 31),
        _ => (short_year(full - 1), 11, 30),
    }
}

/// Sign and the last four characters of a number that hours and minutes make, not always a whole
/// one.
fn offset(seconds: i64) -> String {
    let minutes = (seconds as f64).abs() / 60.0;
    let digits = format!("0000{}", minutes / 60.0 * 100.0 + minutes % 60.0);
    let sign = if seconds >= 0 { '+' } else { '-' };
    format!("{sign}{}", digits.get(digits.len() - 4..).unwrap_or_default())
}
