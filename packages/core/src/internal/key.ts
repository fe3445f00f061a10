export const PATTERN = /^[A-Za-z0-9]{5,64}$/
