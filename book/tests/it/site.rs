//! The built pages: every link leads somewhere, and nothing leaves the site.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use epoll_lab_book::{Lab, Site};
use scraper::{Html, Selector};
use tempfile::TempDir;

use crate::english;

/// A page with everything that it loads weighs no more than this.
const HEAVIEST: u64 = 1_500_000;

/// Every page, by its path from the root.
fn pages() -> BTreeMap<PathBuf, Html> {
    let root = english();
    let mut pages = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "html") {
                let text = fs::read_to_string(&path).expect("a page");
                let name = path.strip_prefix(root).expect("below it").to_path_buf();
                pages.insert(name, Html::parse_document(&text));
            }
        }
    }
    pages
}

fn attributes<'p>(page: &'p Html, selector: &str, attribute: &str) -> Vec<&'p str> {
    let selector = Selector::parse(selector).expect("a selector");
    let found = page.select(&selector);
    found.filter_map(|it| it.attr(attribute)).collect()
}

fn ids(page: &Html) -> Vec<&str> {
    attributes(page, "[id]", "id")
}

/// A path without `.` and `..`, or nothing if it leads out.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Some(plain)
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut dead = Vec::new();
    let mut count = 0;
    for (name, page) in &pages {
        // The page for what is not there speaks of the root of the site.
        if name.as_os_str() == "404.html" {
            continue;
        }
        let links = attributes(page, "a[href], link[href]", "href");
        for link in links.into_iter().chain(attributes(page, "[src]", "src")) {
            if link.starts_with("http://")
                || link.starts_with("https://")
                || link.starts_with("data:")
            {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = name.parent().expect("it is in a folder");
            let target = match path {
                "" => Some(name.clone()),
                path => plain(&folder.join(path)),
            };
            let Some(target) = target.filter(|target| english().join(target).is_file()) else {
                dead.push(format!("{}: {link}", name.display()));
                continue;
            };
            let is_there = || {
                pages
                    .get(&target)
                    .is_some_and(|page| ids(page).contains(&anchor))
            };
            if !anchor.is_empty() && !is_there() {
                dead.push(format!("{}: {link}: no such place", name.display()));
            }
        }
    }
    assert!(count > 50, "{count} links were seen");
    assert_eq!(dead, [""; 0]);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for (name, page) in &pages() {
        let loaded = attributes(page, "[src]", "src");
        let linked = attributes(page, "link[href]", "href");
        for address in loaded.into_iter().chain(linked) {
            assert!(!address.contains("//"), "{}: {address}", name.display());
        }
    }
    for entry in fs::read_dir(english()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|suffix| suffix == "css") {
            let text = fs::read_to_string(&path).expect("text");
            assert!(!text.contains("url(http"), "{}", path.display());
            assert!(!text.contains("@import"), "{}", path.display());
        }
    }
}

#[test]
fn an_id_names_one_element_also_in_print() {
    for (name, page) in &pages() {
        let mut seen = BTreeSet::new();
        for id in ids(page) {
            assert!(seen.insert(id), "{}: {id} is there twice", name.display());
        }
    }
}

#[test]
fn pages_are_light() {
    for (name, page) in &pages() {
        if name.as_os_str() == "404.html" || name.as_os_str() == "print.html" {
            continue;
        }
        let folder = english().join(name.parent().expect("it is in a folder"));
        let size = |path: &Path| fs::metadata(path).map_or(0, |it| it.len());
        let mut weight = size(&english().join(name));
        let linked = attributes(page, "link[rel=stylesheet], link[rel~=icon]", "href");
        for link in linked.into_iter().chain(attributes(page, "[src]", "src")) {
            weight += size(&folder.join(link));
        }
        // Fonts are named in style sheets: all of those that a page of Latin text can ask for.
        weight += fs::read_dir(english().join("fonts")).map_or(0, |fonts| {
            let fonts = fonts.flatten().map(|font| font.path());
            fonts
                .filter(|font| {
                    let name = font.to_string_lossy();
                    name.contains("latin-") || name.contains("code")
                })
                .map(|font| size(&font))
                .sum()
        });
        assert!(
            weight < HEAVIEST,
            "{} weighs {weight} bytes",
            name.display()
        );
    }
}

#[test]
fn the_book_can_be_built_without_linux() {
    let folder = TempDir::new().expect("a folder");
    let site = Site::english(Lab { recorded: true }).expect("the book is there");
    let pages = site.into(folder.path()).build();
    let pages = pages.unwrap_or_else(|error| panic!("{error:?}"));
    let tour = fs::read_to_string(pages.join("start/tour.html")).expect("a page");
    assert!(tour.contains("on a machine without Linux"), "it says so");
}

#[test]
fn figures_have_a_text_for_each_picture() {
    let pages = pages();
    let print = &pages[Path::new("print.html")];
    let svgs = Selector::parse(".lab-figure svg[role=img]").expect("a selector");
    let title = Selector::parse("title").expect("a selector");
    let mut pictures = 0;
    for svg in print.select(&svgs) {
        pictures += 1;
        assert!(svg.select(&title).next().is_some(), "{}", svg.html());
    }
    assert!(pictures > 0);
}
