//! Reading a schema: into rules where it says only plain things, else not at all.

use serde_json::{Map, Value};

use super::{Bounds, Constraints, Count, Kinds, Member, Plain, Rule, Scalar, exact, integer};

/// The drafts in which every keyword that is read here means the same, and whether they only annotate with `format`.
const DRAFTS: [(&str, Format); 3] = [
    ("https://json-schema.org/draft/2020-12/schema", Format::Annotates),
    ("https://json-schema.org/draft/2019-09/schema", Format::Annotates),
    ("http://json-schema.org/draft-07/schema", Format::Asserts),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Annotates,
    Asserts,
}

impl Plain {
    /// Reads a schema that the library has accepted. `None` where it says anything that is not plain.
    pub(in crate::catalog::schema) fn read(schema: &Value) -> Option<Self> {
        let format = match schema.get("$schema") {
            None => Format::Annotates,
            Some(draft) => {
                let draft = draft.as_str()?.trim_end_matches('#');
                DRAFTS.iter().find(|(name, _)| *name == draft)?.1
            }
        };
        Rule::read(schema, format, Place::Root).map(Self)
    }
}

/// `$schema` says something at the root only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Root,
    Inside,
}

impl Rule {
    fn read(schema: &Value, format: Format, place: Place) -> Option<Self> {
        match schema {
            Value::Bool(true) => Some(Self::Anything),
            Value::Bool(false) => Some(Self::Nothing),
            Value::Object(members) => {
                let mut constraints = Constraints::none();
                for (keyword, value) in members {
                    constraints.read(keyword, value, format, place)?;
                }
                constraints.name_required(members.get("required"))?;
                Some(Self::Constrained(Box::new(constraints)))
            }
            _ => None,
        }
    }

    fn inside(schema: &Value, format: Format) -> Option<Self> {
        Self::read(schema, format, Place::Inside)
    }
}

impl Constraints {
    fn none() -> Self {
        Self {
            kinds: Kinds::ALL,
            values: None,
            bounds: Bounds::default(),
            characters: Count::ANY,
            items: Rule::Anything,
            item_count: Count::ANY,
            members: Vec::new(),
            required_count: 0,
            other_members: Rule::Anything,
            any_of: Vec::new(),
        }
    }

    /// Takes one keyword in; `None` where it is not plain.
    fn read(&mut self, keyword: &str, value: &Value, format: Format, place: Place) -> Option<()> {
        match keyword {
            "title" | "description" | "default" | "examples" | "$comment" | "deprecated" | "readOnly"
            | "writeOnly" => {}
            "$schema" if place == Place::Root => {}
            "format" if format == Format::Annotates => {}
            "required" => {} // taken in once the properties are known
            "type" => self.kinds = kinds(value)?,
            "enum" if self.values.is_none() => self.values = Some(scalars(value.as_array()?)?),
            "const" if self.values.is_none() => {
                self.values = Some(scalars(std::slice::from_ref(value))?);
            }
            "minimum" => self.bounds.min = Some(bound(value)?),
            "exclusiveMinimum" => self.bounds.above = Some(bound(value)?),
            "maximum" => self.bounds.max = Some(bound(value)?),
            "exclusiveMaximum" => self.bounds.below = Some(bound(value)?),
            "minLength" => self.characters.min = value.as_u64()?,
            "maxLength" => self.characters.max = value.as_u64()?,
            "minItems" => self.item_count.min = value.as_u64()?,
            "maxItems" => self.item_count.max = value.as_u64()?,
            "items" => self.items = Rule::inside(value, format)?,
            "properties" => self.members = members(value.as_object()?, format)?,
            "additionalProperties" => self.other_members = Rule::inside(value, format)?,
            "anyOf" => {
                let rules = value.as_array()?.iter().map(|schema| Rule::inside(schema, format));
                self.any_of = rules.collect::<Option<_>>()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Marks the required members, and puts all of them in the order in which they are looked up.
    fn name_required(&mut self, required: Option<&Value>) -> Option<()> {
        for name in required.map_or(Some(&Vec::new()), Value::as_array)? {
            let name = name.as_str()?;
            match self.members.iter_mut().find(|member| *member.name == *name) {
                Some(member) => member.is_required = true,
                None => self.members.push(Member { name: name.into(), is_required: true, rule: None }),
            }
        }
        self.members.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        self.required_count = self.members.iter().filter(|member| member.is_required).count();
        Some(())
    }
}

fn members(properties: &Map<String, Value>, format: Format) -> Option<Vec<Member>> {
    let member = |(name, schema): (&String, &Value)| {
        let rule = Some(Rule::inside(schema, format)?);
        Some(Member { name: name.as_str().into(), is_required: false, rule })
    };
    properties.iter().map(member).collect()
}

fn kinds(value: &Value) -> Option<Kinds> {
    let names = match value {
        Value::Array(names) => names.as_slice(),
        name => std::slice::from_ref(name),
    };
    names.iter().try_fold(Kinds(0), |kinds, name| {
        Some(kinds.or(match name.as_str()? {
            "null" => Kinds::NULL,
            "boolean" => Kinds::BOOLEAN,
            "integer" => Kinds::INTEGER,
            "number" => Kinds::NUMBER,
            "string" => Kinds::STRING,
            "array" => Kinds::ARRAY,
            "object" => Kinds::OBJECT,
            _ => return None,
        }))
    })
}

fn scalars(values: &[Value]) -> Option<Vec<Scalar>> {
    let scalar = |value: &Value| match value {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Boolean(*value)),
        Value::Number(number) => integer(&number.to_string()).map(Scalar::Integer),
        Value::String(text) => Some(Scalar::Text(text.as_str().into())),
        Value::Array(_) | Value::Object(_) => None,
    };
    values.iter().map(scalar).collect()
}

fn bound(value: &Value) -> Option<f64> {
    exact(&value.as_number()?.to_string())
}
