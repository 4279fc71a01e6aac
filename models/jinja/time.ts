/**
 * `strftime_now`: the time of day as Python writes it in English.
 *
 * @module
 */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** What makes several letters of one. */
const SHORT: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  T: "%H:%M:%S",
  R: "%H:%M",
  r: "%I:%M:%S %p",
  h: "%b",
};

/** Days since the year began. */
function dayOfYear(time: Date): number {
  const days = (at: Date) => Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) / 86_400_000;
  return days(time) - days(new Date(time.getFullYear(), 0, 1));
}

/** A number and how many places it fills. */
function numberOf(letter: string, time: Date): readonly [value: number, places: number, fill?: string] | undefined {
  const [hours, weekday, day] = [time.getHours(), time.getDay(), dayOfYear(time)];
  switch (letter) {
    case "d":
      return [time.getDate(), 2];
    case "e":
      return [time.getDate(), 2, " "];
    case "m":
      return [time.getMonth() + 1, 2];
    case "y":
      return [time.getFullYear() % 100, 2];
    case "Y":
      return [time.getFullYear(), 1];
    case "C":
      return [Math.floor(time.getFullYear() / 100), 2];
    case "H":
      return [hours, 2];
    case "k":
      return [hours, 2, " "];
    case "I":
      return [hours % 12 || 12, 2];
    case "l":
      return [hours % 12 || 12, 2, " "];
    case "M":
      return [time.getMinutes(), 2];
    case "S":
      return [time.getSeconds(), 2];
    case "f":
      return [time.getMilliseconds() * 1000, 6];
    case "j":
      return [day + 1, 3];
    case "U":
      return [Math.floor((day + 7 - weekday) / 7), 2];
    case "W":
      return [Math.floor((day + 7 - (weekday + 6) % 7) / 7), 2];
    case "w":
      return [weekday, 1];
    case "u":
      return [weekday || 7, 1];
    case "s":
      return [Math.floor(time.getTime() / 1000), 1];
  }
}

/**
 * A time by a format.
 *
 * @param format Letters behind `%`, with `-` between for numbers that are not filled up
 * @param time The time
 * @throws Error for a letter that is not known
 */
export function timeAs(format: string, time: Date): string {
  return format.replace(/%(-?)([^]?)/g, (all, bare: string, letter: string): string => {
    const number = numberOf(letter, time);
    if (number !== undefined) {
      const [value, places, fill = "0"] = number;
      return bare === "-" ? `${value}` : `${value}`.padStart(places, fill);
    }
    if (bare === "") {
      if (Object.hasOwn(SHORT, letter)) return timeAs(SHORT[letter], time);
      switch (letter) {
        case "A":
          return DAYS[time.getDay()];
        case "a":
          return DAYS[time.getDay()].slice(0, 3);
        case "B":
          return MONTHS[time.getMonth()];
        case "b":
          return MONTHS[time.getMonth()].slice(0, 3);
        case "p":
          return time.getHours() < 12 ? "AM" : "PM";
        case "Z":
        case "z":
          // A time without a zone, as transformers'.
          return "";
        case "%":
        case "n":
        case "t":
          return { "%": "%", n: "\n", t: "\t" }[letter];
      }
    }
    throw new Error(`strftime_now with "${all}"`);
  });
}
