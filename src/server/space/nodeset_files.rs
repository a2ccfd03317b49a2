//! Which nodesets are served: those that ship with the program, and the files that somebody has put
//! beside the data.
//!
//! The official file of a companion specification takes the place of our part of it. A file that cannot
//! be read, is too old, or needs others that are not there is named in a warning and left out; the
//! program starts without it.

use std::path::Path;

use opcua::nodes::NodeSet2Import;
use opcua::xml::load_nodeset2_file;

use super::model::TYPES_NAMESPACE;

/// URI of OPC UA itself.
const STANDARD: &str = "http://opcfoundation.org/UA/";
/// Bytes of a file that is read; the largest official one has a tenth of it.
const FILE_MAX: u64 = 64 << 20;

/// The nodesets in the program, ours first, then in the order in which they need each other.
pub const SHIPPED: [(&str, &str); 7] = [
    ("mes.xml", include_str!("../../../nodesets/mes.xml")),
    ("di.xml", include_str!("../../../nodesets/di.xml")),
    ("isa95-jobcontrol.xml", include_str!("../../../nodesets/isa95-jobcontrol.xml")),
    ("machinery.xml", include_str!("../../../nodesets/machinery.xml")),
    ("machinery-jobs.xml", include_str!("../../../nodesets/machinery-jobs.xml")),
    ("packml.xml", include_str!("../../../nodesets/packml.xml")),
    ("weihenstephan.xml", include_str!("../../../nodesets/weihenstephan.xml")),
];

/// A nodeset that can be loaded.
pub struct NodesetFile {
    /// Name of the file.
    pub name: String,
    /// URI of the model.
    pub uri: String,
    /// Its version.
    pub version: String,
    /// URIs of the models that it needs.
    pub requires: Vec<String>,
    /// Its content.
    pub import: NodeSet2Import,
}

/// Reads a nodeset, or says what is wrong with it.
fn read(name: &str, text: &str) -> Result<NodesetFile, String> {
    let file = load_nodeset2_file(text).map_err(|error| error.to_string())?;
    let nodeset = file.node_set.ok_or("there is no UANodeSet in it")?;
    let models = nodeset.models.as_ref().map_or(&[][..], |table| &table.models);
    let [model] = models else {
        return Err(format!("it has {} models, not one", models.len()));
    };
    Ok(NodesetFile {
        name: name.to_owned(),
        uri: model.model_uri.clone(),
        version: model.version.clone().unwrap_or_default(),
        requires: model.required_model.iter().map(|one| one.model_uri.clone()).collect(),
        import: NodeSet2Import::new_nodeset("en", nodeset, Vec::new()),
    })
}

/// A version as numbers, for comparison: `1.04.1` is newer than `1.4`.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The nodesets to load, in no particular order.
pub fn chosen(folder: Option<&Path>) -> Result<Vec<NodesetFile>, String> {
    let mut files = Vec::new();
    for (name, text) in SHIPPED {
        let file = read(name, text).map_err(|why| format!("nodeset {name} is broken: {why}"))?;
        files.push(file);
    }
    let given = folder.map(given).unwrap_or_default();
    for file in usable(given, &files) {
        let NodesetFile { name, uri, version, .. } = &file;
        tracing::info!(%uri, %version, "the nodeset {name} is used");
        match files.iter_mut().find(|known| known.uri == file.uri) {
            Some(known) => *known = file,
            None => files.push(file),
        }
    }
    Ok(files)
}

/// The files of a folder that can be read, in the order of their names.
fn given(folder: &Path) -> Vec<NodesetFile> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml")));
    paths.sort();
    let mut files: Vec<NodesetFile> = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match read_path(&path).and_then(|text| read(&name, &text)) {
            Ok(file) if files.iter().any(|known| known.uri == file.uri) => {
                left_out(&name, &format!("another file has the model {} already", file.uri));
            }
            Ok(file) => files.push(file),
            Err(why) => left_out(&name, &why),
        }
    }
    files
}

fn read_path(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_MAX {
        return Err(format!("it has {size} bytes, more than {FILE_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn left_out(name: &str, why: &str) {
    tracing::warn!("the nodeset {name} is left out: {why}");
}

/// The files that fit: new enough, and with all that they need. Official files need official ones,
/// since ours hold only what the program itself uses.
fn usable(mut files: Vec<NodesetFile>, shipped: &[NodesetFile]) -> Vec<NodesetFile> {
    files.retain(|file| {
        let known = shipped.iter().find(|known| known.uri == file.uri);
        let is_ours = file.uri == TYPES_NAMESPACE || file.uri == STANDARD;
        let is_old = known.is_some_and(|known| numbers(&file.version) < numbers(&known.version));
        if is_ours {
            left_out(&file.name, &format!("{} belongs to the program", file.uri));
        } else if is_old {
            let wanted = known.map_or("", |known| known.version.as_str());
            left_out(&file.name, &format!("version {} is older than {wanted}", file.version));
        }
        !is_ours && !is_old
    });
    loop {
        let there: Vec<String> = files.iter().map(|file| file.uri.clone()).collect();
        let missing = |file: &NodesetFile| {
            let mut needed = file.requires.iter();
            needed.find(|uri| *uri != STANDARD && !there.contains(uri)).cloned()
        };
        let before = files.len();
        files.retain(|file| match missing(file) {
            Some(uri) => {
                left_out(&file.name, &format!("it needs {uri}, which is not there"));
                false
            }
            None => true,
        });
        if files.len() == before {
            return files;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodeset(uri: &str, version: &str, requires: &[&str]) -> String {
        let required: String = requires
            .iter()
            .map(|uri| format!("<RequiredModel ModelUri=\"{uri}\" Version=\"1\"/>"))
            .collect();
        format!(
            "<UANodeSet xmlns=\"http://opcfoundation.org/UA/2011/03/UANodeSet.xsd\">\
             <NamespaceUris><Uri>{uri}</Uri></NamespaceUris><Models>\
             <Model ModelUri=\"{uri}\" Version=\"{version}\">{required}</Model></Models></UANodeSet>"
        )
    }

    fn used(files: &[(&str, String)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let chosen = chosen(Some(folder.path())).unwrap().into_iter();
        let given = chosen.filter(|file| SHIPPED.iter().all(|(name, _)| *name != file.name));
        given.map(|file| (file.name, file.uri)).collect()
    }

    const DI: &str = "http://opcfoundation.org/UA/DI/";
    const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";

    #[test]
    fn a_file_takes_the_place_of_ours_when_it_is_new_enough() {
        let new = used(&[("official.xml", nodeset(DI, "1.05.1", &[STANDARD]))]);
        assert_eq!(new, [("official.xml".to_owned(), DI.to_owned())]);
        assert!(used(&[("official.xml", nodeset(DI, "1.04.9", &[STANDARD]))]).is_empty());
        assert!(used(&[("mine.xml", nodeset(TYPES_NAMESPACE, "9", &[]))]).is_empty());
    }

    #[test]
    fn a_file_without_what_it_needs_or_that_is_none_is_left_out_and_the_others_stay() {
        let machinery = nodeset(MACHINERY, "2", &[STANDARD, DI]);
        assert!(used(&[("machinery.xml", machinery.clone())]).is_empty());
        let both = used(&[
            ("a-broken.xml", "<UANodeSet".to_owned()),
            ("b-empty.xml", String::new()),
            ("di-official.xml", nodeset(DI, "2", &[STANDARD])),
            ("machinery-official.xml", machinery),
            ("text.txt", "no nodeset".to_owned()),
        ]);
        let names: Vec<_> = both.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["di-official.xml", "machinery-official.xml"]);
    }

    #[test]
    fn a_nodeset_that_we_know_nothing_of_is_served_beside_ours() {
        let more = used(&[("vendor.xml", nodeset("urn:vendor:press", "1", &[STANDARD]))]);
        assert_eq!(more, [("vendor.xml".to_owned(), "urn:vendor:press".to_owned())]);
    }
}
