//! What the shipped model's card promises, held to the bar that a shipped model must reach.

use contourd::anatomy::Class;

use crate::support::recipe;

/// Mean Dice on held-out heads below which a class does not count as found.
fn bar(class: Class) -> f64 {
    match class {
        Class::Lens | Class::Chiasm | Class::Pituitary => 0.3,
        _ => 0.5,
    }
}

#[test]
fn every_class_was_found_on_enough_held_out_heads() {
    // Loading compared the networks with the card's digests.
    let card = recipe().model.card();
    for class in Class::ALL {
        let rows: Vec<_> = card.validation.iter().filter(|row| row.class == class).collect();
        let [row] = rows[..] else { panic!("{}: {} validation entries", class.name(), rows.len()) };
        assert!(row.n >= 10, "{}: measured on {} heads only", class.name(), row.n);
        assert!(row.dice_mean >= bar(class), "{}: Dice {:.3}", class.name(), row.dice_mean);
        assert!(row.dice_min > 0.0, "{}: missed on a held-out head", class.name());
    }
}

#[test]
fn the_card_says_what_the_model_is_for_and_how_it_came_about() {
    let card = recipe().model.card();
    assert!(card.is_research() && card.statement.starts_with("Research use only"), "{}", card.statement);
    let training = &card.training;
    assert!(training["data"].as_str().unwrap().contains("no image of a person was used"));
    let commands: Vec<&str> = training["commands"].as_array().unwrap().iter().filter_map(|c| c.as_str()).collect();
    for step in
        ["contourd phantom", "contourd_training.train", "contourd_training.export", "contourd_training.evaluate"]
    {
        assert!(commands.iter().any(|c| c.contains(step)), "no command with {step}");
    }
    for command in commands {
        for file in command.split(' ').filter(|word| word.starts_with("models/training/")) {
            assert!(
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(),
                "{command}: {file} is not here"
            );
        }
    }
}
