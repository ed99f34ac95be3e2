//! Images that nobody vouches for.

use super::{
    Broken, Held,
    broken::{At, must},
    hostile_modules::{flip, not_a_bug, runs, unpanicked, with_little},
    player::{Player, written},
    rng::Rng,
    script::{Script, Subject},
};
use drivebay_disk::{
    Digest, Disk, Header, HostError, Image, ImageError, ImageLimits, MountError, Pages, Section,
    SectionName, Table,
};
use std::sync::Arc;

/// Bent files, and bent states, for each role.
const CASES: u64 = 48;
/// Fuel of each run on a bent state.
const BENT_FUEL: u64 = 50_000;
const PAGE: u64 = drivebay_disk::PAGE as u64;

/// Bent as a file, as a list of sections, and in the content of a section.
pub(super) fn corruption(subject: &Subject) -> Held {
    for script in subject.scripts() {
        let disk = subject.disk(&script.module)?;
        let mut player = Player::new(&disk)?;
        for step in script.steps.iter().take(2) {
            player.play(step)?;
        }
        let image = player.image();
        files(image, &script).at(script.role)?;
        for (how, stranger) in strangers(image) {
            let refused = mount(&disk, &stranger).at(how).at(script.role)?;
            must!(
                refused.is_none(),
                "{}: {how}: an image of something else is mounted",
                script.role
            );
        }
        for case in 0..CASES {
            let (how, bent) = bent(image, &mut Rng::new(case, script.role))?;
            unpanicked(|| mounted_or_not(subject, &disk, &bent))
                .at(how)
                .at(format!("{}, bent state {case}", script.role))?;
        }
        adopted(&disk, &script).at(script.role)?;
        let sound = mount(&disk, image).at(script.role)?;
        must!(sound.is_some(), "{}: after bent images the sound one is refused", script.role);
    }
    Ok(())
}

/// Foreign checkpoints that are none: refused, or taken for what they are.
fn adopted(disk: &Arc<dyn Disk>, script: &Script) -> Held {
    let mut rng = Rng::new(6, script.role);
    for len in [0, 1, 4096, 65536, 65537, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
        unpanicked(|| match disk.adopt(&mut bytes.as_slice(), &ImageLimits::default()) {
            Ok(image) => mount(disk, &image).map(drop),
            Err(MountError::Host(error)) => not_a_bug(error),
            Err(MountError::Refused(_)) => Ok(()),
        })
        .at(format!("a foreign checkpoint of {len} random bytes"))?;
    }
    Ok(())
}

fn files(image: &Image, script: &Script) -> Held {
    let (file, mut rng) = (written(image)?, Rng::new(4, script.role));
    for case in 0..CASES {
        let mut bytes = file.clone();
        match case % 4 {
            0 => bytes.truncate(rng.place(file.len())),
            1 => bytes.push(rng.byte()),
            2 => flip(&mut bytes, &mut rng),
            // The first bytes say what everything else is.
            _ => flip(bytes.get_mut(..100).unwrap_or_default(), &mut rng),
        }
        if bytes == file {
            continue;
        }
        match Image::read_from(&mut bytes.as_slice(), &ImageLimits::default()) {
            Ok(_) => return Err(Broken::new(format!("bent file {case} is read"))),
            Err(ImageError::Host(error)) => not_a_bug(error)?,
            Err(_) => {}
        }
    }
    Ok(())
}

/// Images that are sound, but not of this module, or not of its layout.
fn strangers(image: &Image) -> Vec<(&'static str, Image)> {
    let header = image.header();
    let other_module = Header { module: Digest::of(b"another module"), ..header.clone() };
    let other_state = Header { state: "another-layout".into(), ..header.clone() };
    let mut strangers = vec![
        ("another module's", copy(image, other_module, |_, section| Some(section))),
        ("another layout's", copy(image, other_state, |_, section| Some(section))),
        ("without sections", copy(image, header.clone(), |_, _| None)),
        ("with one section more", image.clone().with(STRANGER, Pages::new(PAGE))),
    ];
    for (name, _) in image.sections() {
        let without = |other: &SectionName, section| (other != name).then_some(section);
        strangers.push(("without a section", copy(image, header.clone(), without)));
        let other_kind = |other: &SectionName, section| match section {
            Section::Pages(_) if other == name => Some(Table::new().into()),
            Section::Table(_) if other == name => Some(Pages::new(PAGE).into()),
            _ => Some(section),
        };
        strangers.push(("with a section of another kind", copy(image, header.clone(), other_kind)));
    }
    strangers.retain(|(_, stranger)| stranger.root() != image.root());
    strangers
}

const STRANGER: SectionName = SectionName::new("stranger");

fn copy(
    image: &Image,
    header: Header,
    change: impl Fn(&SectionName, Section) -> Option<Section>,
) -> Image {
    image.sections().fold(Image::new(header), |copy, (name, section)| {
        match change(name, section.clone()) {
            Some(section) => copy.with(*name, section),
            None => copy,
        }
    })
}

/// The image, with something changed in one of its sections.
fn bent(image: &Image, rng: &mut Rng) -> Result<(&'static str, Image), Broken> {
    let place = rng.place(image.sections().len());
    let Some((name, section)) = image.sections().nth(place) else {
        return Ok(("without any section", image.clone()));
    };
    let (how, section) = match section {
        Section::Pages(pages) => bent_pages(pages, rng)?,
        Section::Table(table) => bent_table(table, rng)?,
    };
    Ok((how, image.clone().with(*name, section)))
}

fn bent_pages(pages: &Pages, rng: &mut Rng) -> Result<(&'static str, Section), Broken> {
    let (mut pages, len) = (pages.clone(), pages.len_bytes());
    let lens = [len.saturating_sub(1), len + 1, len.saturating_sub(PAGE), len + PAGE, 0, len / 2];
    if rng.once_in(4) {
        pages.resize(lens.get(rng.place(lens.len())).copied().unwrap_or(0))?;
        return Ok(("memory of another length", pages.into()));
    }
    // Most of a memory is zeros that mean nothing, so what is there is bent more often.
    let mut filled = Vec::new();
    pages.for_each_hash(|index, _| {
        filled.push(index);
        Ok(())
    })?;
    let page = filled.get(rng.place(filled.len())).copied().filter(|_| !rng.once_in(8));
    for _ in 0..1 + rng.below(8) {
        let at = page.map_or(rng.below(len), |page| page * PAGE + rng.below(PAGE));
        if at < len {
            pages.write(at, &[rng.byte()])?;
        }
    }
    Ok(("other bytes in memory", pages.into()))
}

fn mount(
    disk: &Arc<dyn Disk>,
    image: &Image,
) -> Result<Option<Box<dyn drivebay_disk::Drive>>, Broken> {
    match disk.clone().mount(image) {
        Ok(drive) => Ok(Some(drive)),
        Err(MountError::Refused(_)) => Ok(None),
        Err(MountError::Host(error @ HostError::Bug { .. })) => Err(error.into()),
        Err(MountError::Host(_)) => Ok(None),
    }
}

/// What is mounted is what the image says, and runs.
fn mounted_or_not(subject: &Subject, disk: &Arc<dyn Disk>, bent: &Image) -> Held {
    let Some(mut drive) = mount(disk, bent)? else { return Ok(()) };
    let (found, root) = (drive.freeze()?.image()?.root(), bent.root());
    must!(found == root, "mounted with root {root}, it has root {found}");
    let steps = subject.steps(&["go", "go"]);
    runs(drive, steps.iter().map(|step| with_little(step, BENT_FUEL)))
}

fn bent_table(table: &Table, rng: &mut Rng) -> Result<(&'static str, Section), Broken> {
    let mut table = table.clone();
    let rows = table.len().min(1 << 16) as usize;
    let row = table.iter().nth(rng.place(rows)).map(|row| (row.key, row.bytes.to_vec()));
    let how = match (rng.below(4), row) {
        (0, Some((key, _))) => {
            table.remove(&key);
            "a row less"
        }
        (1 | 2, Some((key, mut bytes))) => {
            flip(&mut bytes, rng);
            table.set(key, &bytes);
            "another value in a row"
        }
        _ => {
            let bytes: Vec<u8> = (0..rng.place(64)).map(|_| rng.byte()).collect();
            table.set(Digest::of(&bytes), &bytes);
            "a row more"
        }
    };
    Ok((how, table.into()))
}
