use super::*;

#[test]
fn revisions_belong_to_an_era_by_their_date() {
    for legacy in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-27"] {
        assert_eq!(Era::of_version(legacy), Some(Era::Legacy), "{legacy}");
    }
    for modern in ["2026-07-28", "2026-12-01", "2027-01-01"] {
        assert_eq!(Era::of_version(modern), Some(Era::Modern), "{modern}");
    }
    for unknown in ["", "v999.0.0", "DRAFT-2026", "2026-7-28", "2026-07-28 ", "2026/07/28", "20260-07-2"] {
        assert_eq!(Era::of_version(unknown), None, "{unknown}");
    }
}
