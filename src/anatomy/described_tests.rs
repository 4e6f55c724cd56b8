use super::*;

/// A description that is right, of a class that no other test has.
fn toe() -> Description {
    Description {
        name: "toe".into(),
        sided: true,
        structures: vec!["Toe_L".into(), "Toe_R".into()],
        colours: vec![[1, 2, 3], [3, 2, 1]],
        rules: GenericRule::LargestComponent,
        enclosed_by: Some(Class::Brain),
        volume_cc: Some([0.5, 20.0]),
        volume_source: Some("nobody".into()),
        code: CardCode { value: "29707007".into(), scheme: "SCT".into(), meaning: "Toe".into() },
    }
}

fn nail() -> Description {
    Description {
        name: "nail".into(),
        sided: false,
        structures: vec!["Nail".into()],
        colours: vec![[7, 7, 7]],
        rules: GenericRule::None,
        enclosed_by: None,
        volume_cc: None,
        volume_source: None,
        code: CardCode { value: "NAIL".into(), scheme: "99CONTOURD".into(), meaning: "Nail".into() },
    }
}

#[test]
fn a_described_class_is_a_class_like_any() {
    let classes = describe(&[toe(), nail()]).unwrap();
    assert_eq!(describe(&[nail(), toe()]).unwrap(), [classes[1], classes[0]], "the same handles, however often");
    let [left, right] = <[Structure; 2]>::try_from(classes[0].structures().collect::<Vec<_>>()).unwrap();
    assert_eq!((left.name(), left.side(), left.colour()), ("Toe_L", Some(Side::Left), [1, 2, 3]));
    assert_eq!((right.name(), right.side(), right.colour()), ("Toe_R", Some(Side::Right), [3, 2, 1]));
    assert_eq!((left.class(), left.code().value, left.code().meaning), (classes[0], "29707007", "Toe"));
    assert_eq!(left.laterality_code().unwrap().meaning, "Left");
    assert_eq!(Structure::of(classes[0], Some(Side::Right)), Some(right));
    assert_eq!(Structure::of(classes[0], None), None);
    assert_eq!(Structure::of(classes[1], None).map(Structure::name), Some("Nail"));
    assert_eq!((classes[0].index(), classes[0].bit()), (None, 0));
    // By name, in files as well, once a card has it.
    assert_eq!((Class::from_name("toe"), Structure::from_name("Toe_L")), (Some(classes[0]), Some(left)));
    let text = serde_json::to_string(&(classes[0], left)).unwrap();
    assert_eq!(text, r#"["toe","Toe_L"]"#);
    assert_eq!(serde_json::from_str::<(Class, Structure)>(&text).unwrap(), (classes[0], left));
    assert!(serde_json::from_str::<Class>(r#""finger""#).unwrap_err().to_string().contains("\"finger\" is no class"));
    assert!(serde_json::from_str::<Structure>(r#""Finger_L""#).is_err());
    // After the known ones, by name.
    let mut sorted = [right, left, Structure::Brain, Structure::Eye_L];
    sorted.sort();
    assert_eq!(sorted, [Structure::Eye_L, Structure::Brain, left, right]);
}

#[test]
fn what_a_card_writes_is_read_and_written() {
    let text = "name = 'toe'\nsided = true\nstructures = ['Toe_L', 'Toe_R']\ncolours = [[1, 2, 3], [3, 2, 1]]\n\
                rules = 'largest_component'\nenclosed_by = 'brain'\nvolume_cc = [0.5, 20.0]\nvolume_source = 'nobody'\n\
                [code]\nvalue = '29707007'\nscheme = 'SCT'\nmeaning = 'Toe'\n";
    assert_eq!(toml::from_str::<Description>(text).unwrap(), toe());
    assert_eq!(toml::from_str::<Description>(&toml::to_string(&nail()).unwrap()).unwrap(), nail());
    for bad in
        [text.replace("largest_component", "smoothed"), text.replace("sided", "side"), text.replace("1]]", "256]]")]
    {
        assert!(toml::from_str::<Description>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn every_fault_is_told_with_its_key() {
    type Change = fn(&mut Description);
    let faults: [(&str, Change); 25] = [
        ("name", |d| d.name = String::new()),
        ("name", |d| d.name = "Toe".into()),
        ("name", |d| d.name = "t".repeat(33)),
        ("name", |d| d.name = "eye".into()),
        ("name", |d| d.name = "nail".into()),
        ("sided", |d| d.sided = false),
        ("sided", |d| d.structures.truncate(1)),
        ("sided", |d| d.colours.truncate(1)),
        ("structures", |d| d.structures[0] = "TheLeftmostToe_L_".into()),
        ("structures", |d| d.structures.swap(0, 1)),
        ("structures", |d| d.structures[0] = "Toe L".into()),
        ("structures", |d| d.structures[0] = "eye_L".into()),
        ("structures", |d| (d.sided, d.structures, d.colours) = (false, vec!["Toe_L".into()], vec![[1, 2, 3]])),
        ("structures", |d| (d.sided, d.structures, d.colours) = (false, vec!["NAIL".into()], vec![[1, 2, 3]])),
        ("colours", |d| d.colours[1] = d.colours[0]),
        ("colours", |d| d.colours[1] = Structure::Brain.colour()),
        ("colours", |d| d.colours[1] = [7, 7, 7]),
        ("code.scheme", |d| d.code.scheme = String::new()),
        ("code.scheme", |d| d.code.scheme = "SNOMED".into()),
        ("code.value", |d| d.code.value = "29707008".into()),
        ("code.value", |d| d.code.value = "18234004".into()),
        ("code.meaning", |d| d.code.meaning = " ".into()),
        ("volume_cc", |d| d.volume_cc = Some([2.0, 1.0])),
        ("volume_source", |d| d.volume_source = None),
        ("volume_cc", |d| d.volume_cc = None),
    ];
    for (n, (key, change)) in faults.into_iter().enumerate() {
        let mut bad = toe();
        change(&mut bad);
        let fault = describe(&[nail(), bad]).unwrap_err();
        assert!(fault.starts_with(&format!("class[2].{key}")), "{n}: {fault}");
    }
    let fault = describe(&[nail(), Description { name: "claw".into(), ..nail() }]).unwrap_err();
    assert!(fault.contains("Nail"), "{fault}");
    let described = describe(&[nail()]).unwrap()[0];
    let fault = describe(&[Description { enclosed_by: Some(described), ..toe() }]).unwrap_err();
    assert!(fault.starts_with("class[1].enclosed_by"), "{fault}");
}

#[test]
fn a_name_means_one_thing_in_a_process() {
    describe(&[nail()]).unwrap();
    let fault = describe(&[Description { colours: vec![[7, 7, 8]], ..nail() }]).unwrap_err();
    assert!(fault.starts_with("class[1].name \"nail\" is described otherwise"), "{fault}");
    let fault = describe(&[Description { name: "claw".into(), ..nail() }]).unwrap_err();
    assert!(fault.starts_with("class[1].structures"), "{fault}");
    assert_eq!(Class::from_name("claw"), None, "what was refused is not kept");
}

#[test]
fn check_digits_tell_identifiers_from_numbers() {
    for structure in Structure::ALL {
        let value = structure.code().value;
        assert!(is_sct(value), "{value}");
        for (n, other) in (0..value.len()).flat_map(|n| (0..10).map(move |other| (n, other))) {
            let mut digits: Vec<String> = value.chars().map(String::from).collect();
            let own = std::mem::replace(&mut digits[n], other.to_string());
            assert_eq!(is_sct(&digits.concat()), own == other.to_string());
        }
        let swapped: String = [&value[1..2], &value[..1], &value[2..]].concat();
        assert!(value[..1] == value[1..2] || !is_sct(&swapped), "{swapped}");
    }
    assert!(is_sct("80169004") && !is_sct("8016900A") && !is_sct("") && !is_sct("00000"));
}
