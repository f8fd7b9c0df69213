//! The price of a tool as an operator writes it: amounts, or rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::RawShare;

/// Amounts (each call costs any one of them; none: free), or a rule.
#[derive(Clone, Debug)]
pub enum RawPrice {
    /// `0.01USDC`, or a list of such amounts.
    Amounts(Vec<String>),
    /// A rule with its `type`.
    Rule(Box<RawPricing>),
}

impl Default for RawPrice {
    fn default() -> Self {
        Self::Amounts(Vec::new())
    }
}

impl Serialize for RawPrice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Amounts(amounts) => amounts.serialize(serializer),
            Self::Rule(rule) => rule.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RawPrice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(amount) => Ok(Self::Amounts(vec![amount])),
            amounts @ serde_json::Value::Array(_) => {
                serde_json::from_value(amounts).map(Self::Amounts).map_err(Error::custom)
            }
            rule @ serde_json::Value::Object(_) => {
                serde_json::from_value(rule).map(Self::Rule).map_err(Error::custom)
            }
            other => Err(Error::custom(format!("{other} is neither amounts nor a rule"))),
        }
    }
}

impl JsonSchema for RawPrice {
    fn schema_name() -> Cow<'static, str> {
        "RawPrice".into()
    }

    /// One flat schema for all three, so that what is wrong in a rule is said by itself.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawPricing::json_schema(generator);
        schema.insert("type".to_owned(), serde_json::json!(["string", "array", "object"]));
        schema.insert("items".to_owned(), serde_json::json!({ "type": "string" }));
        let about = "An amount, a list of amounts of which a caller pays any one (`0.01USDC`, `10sat`; none: free), or a rule.";
        schema.insert("description".to_owned(), about.into());
        schema
    }
}

/// A rule of a price. Which members it has follows from its `type`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPricing {
    /// Which rule: per_call, free_tier, volume, standing, per_unit, per_result, formula, windows.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["per_call", "free_tier", "volume", "standing", "per_unit", "per_result", "formula", "windows", null]))]
    pub kind: Option<String>,
    /// The asset of amounts that are written as atomic units alone, such as "500000": its symbol. Default: the first asset of the
    /// gateway.
    pub asset: Option<String>,
    /// per_call: what each call costs.
    #[schemars(with = "RawPrice")]
    pub price: Option<Box<RawPrice>>,
    /// free_tier: how many calls of each API key are free in each period.
    pub calls: Option<u64>,
    /// free_tier, volume: the period: day, month, ever. Days and months begin at midnight UTC.
    #[schemars(extend("enum" = ["day", "month", "ever", null]))]
    pub per: Option<String>,
    /// free_tier: what calls cost after the free ones.
    #[schemars(with = "RawPrice")]
    pub then: Option<Box<RawPrice>>,
    /// volume: prices by how many calls the API key has made in the period; the first from 0.
    pub tiers: Vec<RawTier>,
    /// standing: prices by the caller's local reputation.
    pub grades: Vec<RawGrade>,
    /// standing, windows: what calls cost otherwise.
    #[schemars(with = "RawPrice")]
    pub otherwise: Option<Box<RawPrice>>,
    /// per_unit: what is counted in the arguments.
    #[schemars(with = "RawMeasure")]
    pub measure: Option<RawMeasure>,
    /// per_unit: how many of it make one unit; a begun unit counts whole. Default: 1. per_result: how many bytes of the result do.
    /// Default: 1024.
    pub size: Option<u64>,
    /// per_unit, per_result: what each unit costs, in each asset that is accepted.
    pub each: Vec<String>,
    /// per_unit, per_result: what every call costs beside.
    pub base: Vec<String>,
    /// per_unit, per_result, formula: the least that a call costs. Default: one atomic unit.
    pub minimum: Vec<String>,
    /// per_unit, formula: the most that a call costs. per_result: the same, in each asset; it is what is quoted and held.
    pub maximum: Vec<String>,
    /// formula: what is counted in the arguments, by the name that the formula has for it.
    pub measures: BTreeMap<String, RawMeasure>,
    /// formula: the price in atomic units, by the symbol of each asset that is accepted: whole numbers, the names of measures,
    /// + - * / ( ), min and max. A division rounds up.
    pub formula: BTreeMap<String, String>,
    /// windows: prices by the time of the call; the first window that it lies in counts.
    pub windows: Vec<RawWindow>,
}

/// What is counted in the arguments of a call.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMeasure {
    /// Where: a JSON Pointer into the arguments, such as /text.
    pub argument: String,
    /// What of it: number (the value itself), characters (of a string), items (of an array).
    #[schemars(extend("enum" = ["number", "characters", "items"]))]
    pub of: String,
    /// How many there are where a call has no such argument. Default: such a call is refused.
    pub absent: Option<u64>,
}

/// A price from so many calls on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTier {
    /// From how many calls before this one.
    pub from: u64,
    /// What calls cost then.
    pub price: RawPrice,
}

/// A price from a reputation on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGrade {
    /// The least local reputation, 0 to 1, such as 0.8.
    pub min_reputation: RawShare,
    /// What calls cost then; an empty list: nothing.
    #[serde(default)]
    pub price: RawPrice,
}

/// A price at some times of the week, in UTC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawWindow {
    /// On which days: mon, tue, wed, thu, fri, sat, sun. Default: all.
    pub days: Vec<String>,
    /// From this time of day on, such as 22:00.
    pub from: String,
    /// Up to this one, such as 06:00 (of the next day) or 24:00.
    pub to: String,
    /// What calls cost then.
    pub price: RawPrice,
}
