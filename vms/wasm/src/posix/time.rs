//! The calendar, by the rules of JavaScript's `Date` in UTC.

use super::Flavor;
use super::errno::{Fail, Sys};
use super::limits::DATE_MS;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// The nine words that start a `struct tm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tm {
    pub(crate) sec: i32,
    pub(crate) min: i32,
    pub(crate) hour: i32,
    pub(crate) mday: i32,
    pub(crate) mon: i32,
    /// From 1900.
    pub(crate) year: i32,
    pub(crate) wday: i32,
    pub(crate) yday: i32,
    pub(crate) isdst: i32,
}

impl Tm {
    pub(crate) fn from_words(words: [i32; 9]) -> Self {
        let [sec, min, hour, mday, mon, year, wday, yday, isdst] = words;
        Self { sec, min, hour, mday, mon, year, wday, yday, isdst }
    }

    pub(crate) fn to_words(self) -> [i32; 9] {
        let Self { sec, min, hour, mday, mon, year, wday, yday, isdst } = self;
        [sec, min, hour, mday, mon, year, wday, yday, isdst]
    }
}

/// `_gmtime_js`: the caller writes the first eight words. All are 0 for a time that no `Date` has.
pub(crate) fn gmtime(seconds: i64) -> Tm {
    let Some(ms) = valid(seconds.saturating_mul(1000)) else { return Tm::default() };
    let mut tm = fields(ms);
    tm.yday = day_from(ms, short_year(i64::from(tm.year) + 1900));
    tm
}

/// `_localtime_js`: the caller writes all nine words, and 0 as the offset from UTC. Where no `Date`
/// has the time, wasm64 fails at making the offset whole.
pub(crate) fn localtime(flavor: Flavor, seconds: i64) -> Sys<Tm> {
    match (flavor, valid(seconds.saturating_mul(1000))) {
        (Flavor::Fmt1 | Flavor::Fmt2, _) => Ok(gmtime(seconds)),
        (_, Some(ms)) => Ok(fields(ms)),
        (Flavor::Wasm64, None) => Err(Fail::abort("local time of no date")),
        (_, None) => Ok(Tm::default()),
    }
}

/// `_mktime_js`: the fields brought into range (the caller writes them all back), and the seconds.
/// A time that no `Date` has makes the fields 0, and the seconds -1, or 0 in formats 1 and 2.
pub(crate) fn mktime(flavor: Flavor, tm: Tm) -> (Tm, i64) {
    let old = matches!(flavor, Flavor::Fmt1 | Flavor::Fmt2);
    let isdst = tm.isdst.max(0);
    let kept = if old { tm.year } else { 0 };
    let Some(ms) = milliseconds(tm) else {
        return (Tm { isdst, year: kept, ..Tm::default() }, if old { 0 } else { -1 });
    };
    let mut plain = Tm { isdst, ..fields(ms) };
    if old {
        plain.yday = day_from(ms, short_year(i64::from(plain.year) + 1900));
        plain.year = kept;
        // A 32-bit word that wraps.
        return (plain, i64::from((ms / 1000) as i32));
    }
    (plain, ms / 1000)
}

/// `new Date(year, month, ...)`: any of the fields may be out of range.
fn milliseconds(tm: Tm) -> Option<i64> {
    let (year, month) = (short_year(i64::from(tm.year) + 1900), i64::from(tm.mon));
    // The reference's engine gives up on these before it looks at the days.
    if year.abs() > 1_000_000 || month.abs() > 10_000_000 {
        return None;
    }
    let days = days_to_month(year, month) + i64::from(tm.mday) - 1;
    let seconds = i64::from(tm.hour) * 3600 + i64::from(tm.min) * 60 + i64::from(tm.sec);
    valid(days.saturating_mul(DAY_MS).saturating_add(seconds * 1000))
}

/// Milliseconds that a `Date` can have.
fn valid(ms: i64) -> Option<i64> {
    (-DATE_MS..=DATE_MS).contains(&ms).then_some(ms)
}

/// Years 0 to 99 mean 1900 to 1999 where a `Date` is made of numbers.
pub(crate) fn short_year(year: i64) -> i64 {
    if (0..=99).contains(&year) { year + 1900 } else { year }
}

/// Whole days, cut towards zero, from the start of a year.
fn day_from(ms: i64, year: i64) -> i32 {
    ((ms - days_to_month(year, 0) * DAY_MS) / DAY_MS) as i32
}

fn fields(ms: i64) -> Tm {
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = date(days);
    Tm {
        sec: (rest % 60) as i32,
        min: (rest / 60 % 60) as i32,
        hour: (rest / 3600) as i32,
        mday: day as i32,
        mon: month as i32,
        year: (year - 1900) as i32,
        wday: (days + 4).rem_euclid(7) as i32,
        yday: (days - days_to_month(year, 0)) as i32,
        isdst: 0,
    }
}

pub(crate) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of each month.
pub(crate) fn month_days(year: i64) -> [i64; 12] {
    let february = if is_leap(year) { 29 } else { 28 };
    [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

/// Days from 1970 to the first of a month, counted from 0; months out of range move the year.
pub(crate) fn days_to_month(year: i64, month: i64) -> i64 {
    let year = year + month.div_euclid(12);
    let before = month_days(year).iter().take(month.rem_euclid(12) as usize).sum::<i64>();
    let last = year - 1;
    let leaps = last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400);
    // 719162 days lie between the first day of year 1 and that of 1970.
    last * 365 + leaps - 719_162 + before
}

/// Year, month from 0 and day from 1 of a day counted from 1970.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    // Within a year of the right one, from the mean length of 146097 days in 400 years.
    let mut year = 1970 + (days * 400).div_euclid(146_097);
    while days_to_month(year, 0) > days {
        year -= 1;
    }
    while days_to_month(year + 1, 0) <= days {
        year += 1;
    }
    let mut day = days - days_to_month(year, 0);
    let mut month = 0;
    for length in month_days(year) {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}
