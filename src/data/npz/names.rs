//! What the names of arrays mean: `x_train`, `train_images`, `y_test`, `arr_0`, ...

use crate::data::part::Role;

/// What an array is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The part; `None` if the name does not say.
    pub role: Option<Role>,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Images,
    /// A number for each image.
    Labels,
    /// The names of the classes.
    Classes,
}

const IMAGES: [&str; 12] =
    ["x", "image", "images", "img", "imgs", "data", "pixels", "samples", "inputs", "input", "arr_0", "features"];
const LABELS: [&str; 7] = ["y", "label", "labels", "target", "targets", "classes", "class"];
const CLASSES: [&str; 4] = ["classes", "class_names", "label_names", "names"];

/// The meaning of a name; `None` if it is not known. Upper and lower case are alike.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let name = name.to_lowercase();
    if CLASSES.contains(&name.as_str()) {
        return Some(Meaning { role: None, kind: Kind::Classes });
    }
    let (roles, words): (Vec<&str>, Vec<&str>) =
        name.split(['_', '-', '.']).partition(|word| Role::of_word(word).is_some());
    let role = match roles[..] {
        [] => None,
        [word] => Role::of_word(word),
        _ => return None,
    };
    let rest = words.join("_");
    let kind = match rest.as_str() {
        "" => Kind::Images,
        rest if IMAGES.contains(&rest) => Kind::Images,
        rest if LABELS.contains(&rest) => Kind::Labels,
        _ => return None,
    };
    Some(Meaning { role, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_use() {
        let of = |role, kind| Some(Meaning { role, kind });
        let (train, valid, test) = (Some(Role::Train), Some(Role::Validation), Some(Role::Test));
        for (names, expected) in [
            (&["train", "x_train", "X_train", "train_x", "train_images", "train-data"][..], of(train, Kind::Images)),
            (&["valid", "val_images", "x_val"], of(valid, Kind::Images)),
            (&["test", "x_test", "test_images"], of(test, Kind::Images)),
            (&["data", "images", "x", "X", "arr_0", "imgs"], of(None, Kind::Images)),
            (&["y_train", "train_labels"], of(train, Kind::Labels)),
            (&["y_test", "test_labels"], of(test, Kind::Labels)),
            (&["y", "labels", "target"], of(None, Kind::Labels)),
            (&["classes", "class_names"], of(None, Kind::Classes)),
            (&["arr_1", "latents_values", "train_test", "metadata", "train_masks"], None),
        ] {
            for name in names {
                assert_eq!(meaning(name), expected, "{name}");
            }
        }
    }
}
