//! Usual weather: monthly mean temperatures of some cities and the astronomical length of the day.

use schemars::JsonSchema;
use serde::Serialize;

struct Place {
    name: &'static str,
    latitude: f64,
    /// Mean temperature per month in degrees Celsius: climate normals 1991-2020 as national weather services publish
    /// them, rounded to whole degrees.
    means: [i8; 12],
}

const PLACES: &[Place] = &[
    Place { name: "Berlin", latitude: 52.5, means: [1, 2, 5, 10, 14, 18, 20, 19, 15, 10, 5, 2] },
    Place { name: "London", latitude: 51.5, means: [6, 6, 8, 10, 14, 17, 19, 19, 16, 12, 9, 6] },
    Place { name: "Nairobi", latitude: -1.3, means: [20, 21, 21, 20, 19, 18, 17, 18, 19, 20, 20, 20] },
    Place { name: "New York", latitude: 40.8, means: [1, 2, 6, 12, 18, 23, 26, 25, 21, 15, 9, 4] },
    Place { name: "Oslo", latitude: 59.9, means: [-3, -3, 1, 6, 12, 16, 18, 17, 12, 6, 2, -2] },
    Place { name: "Paris", latitude: 48.9, means: [5, 6, 9, 12, 16, 19, 21, 21, 17, 13, 9, 6] },
    Place { name: "Sydney", latitude: -33.9, means: [24, 24, 22, 20, 17, 14, 14, 15, 17, 19, 21, 23] },
    Place { name: "Tokyo", latitude: 35.7, means: [5, 6, 9, 14, 19, 22, 26, 27, 23, 18, 13, 8] },
];

/// The usual weather of one place.
#[derive(Serialize, JsonSchema)]
pub(super) struct UsualWeather {
    /// The city.
    city: String,
    /// The asked month, or all of them.
    months: Vec<Month>,
    /// What these figures are.
    note: String,
}

#[derive(Serialize, JsonSchema)]
struct Month {
    /// 1 to 12.
    month: u8,
    /// Mean temperature in degrees Celsius.
    mean_celsius: i8,
    /// Hours between sunrise and sunset in the middle of the month.
    daylight_hours: f64,
}

/// Looks a city up.
///
/// # Errors
/// A sentence that names the known cities.
pub(super) fn usual_weather(city: &str, month: Option<u8>) -> Result<UsualWeather, String> {
    let known = || PLACES.iter().map(|place| place.name).collect::<Vec<_>>().join(", ");
    let place = PLACES
        .iter()
        .find(|place| place.name.eq_ignore_ascii_case(city.trim()))
        .ok_or_else(|| format!("no climate normals for {city:?}; known are {}", known()))?;
    let months = (1..=12u8)
        .zip(place.means)
        .filter(|(number, _)| month.is_none_or(|asked| asked == *number))
        .map(|(number, mean_celsius)| Month {
            month: number,
            mean_celsius,
            daylight_hours: daylight_hours(place.latitude, number),
        })
        .collect();
    Ok(UsualWeather {
        city: place.name.to_owned(),
        months,
        note: "Climate normals 1991-2020, rounded; not a forecast.".to_owned(),
    })
}

/// The length of the day on the 15th of a month, from the sunrise equation with the sun's declination by Cooper (1969),
/// rounded to a tenth of an hour; refraction is left out.
fn daylight_hours(latitude: f64, month: u8) -> f64 {
    let day_of_year = f64::from(month - 1) * 30.4 + 15.0;
    let declination = (23.45 * ((284.0 + day_of_year) / 365.0 * std::f64::consts::TAU).sin()).to_radians();
    let cosine = -latitude.to_radians().tan() * declination.tan();
    let hours = cosine.clamp(-1.0, 1.0).acos().to_degrees() / 7.5;
    (hours * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn northern_summers_have_long_days_and_the_equator_does_not_care() {
        assert!(daylight_hours(59.9, 6) > 18.0);
        assert!(daylight_hours(59.9, 12) < 6.5);
        assert!((daylight_hours(0.0, 3) - 12.0).abs() < 0.2);
    }

    #[test]
    fn an_unknown_city_is_told_which_are_known() {
        assert!(usual_weather("oslo", Some(6)).is_ok(), "control");
        assert!(usual_weather("Atlantis", None).is_err_and(|text| text.contains("Oslo")));
    }
}
