/** Settings that decide how a value reads as text: the same wherever the texts of the journal are compared or written back. */
export const TEXT_FORM: Readonly<Record<string, string>> = {
  DateStyle: 'ISO,YMD',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  xmloption: 'content',
  lc_monetary: 'C',
  standard_conforming_strings: 'on',
}
