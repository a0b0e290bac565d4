// Every page of the console as a person meets it. Findings are gathered and told at the end, so that one run tells all.
'use strict';

const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');
const seed = require('./seed.cjs');

const URL_ = process.env.REBOUND_URL, PICTURES = process.env.REBOUND_PICTURES;
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const WIDE = { width: 1280, height: 900 }, PHONE = { width: 375, height: 740 };
const findings = [];
const wrong = text => { findings.push(text); console.log(`  WRONG ${text}`); };
const expect = (holds, text) => { if (!holds) wrong(text); };

async function ready() {
  for (let tries = 0; tries < 300; tries++) {
    if (await fetch(`${URL_}/readyz`).then(it => it.ok, () => false)) return;
    await new Promise(done => setTimeout(done, 100));
  }
  throw new Error('the service does not become ready');
}

// A visitor with cookies of its own, who tells of everything that goes wrong in the browser.
async function visitor(browser, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: 'light', ...options });
  const page = await context.newPage();
  page.on('console', it => { if (['error', 'warning'].includes(it.type()) && !expected(it.text())) wrong(`console at ${page.url()}: ${it.text()}`); });
  page.on('pageerror', it => wrong(`error at ${page.url()}: ${it.message}`));
  page.on('dialog', it => { wrong(`a dialog at ${page.url()}: ${it.message()}`); it.dismiss(); });
  page.on('request', it => { if (!it.url().startsWith(URL_)) wrong(`${page.url()} asks for ${it.url()}`); });
  return page;
}
let expectedStatus = null;
// A browser tells of each answer that is an error, too.
const expected = text => expectedStatus !== null && text.includes(`status of ${expectedStatus}`);

async function signIn(page, key) {
  await page.goto(`${URL_}/console`);
  expect(page.url().endsWith('/console/sign-in'), `who is not signed in is sent to sign in, not to ${page.url()}`);
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
}

async function axe(page, name) {
  // The policy of the pages lets no script in; the tester's own comes in beside it.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression: "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })"
      + '.then(it => JSON.stringify([it.passes.length, it.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])]))',
    awaitPromise: true, returnByValue: true,
  });
  await session.detach();
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  const [passed, violations] = JSON.parse(result.value);
  expect(passed > 20, `axe looked at ${name}: ${passed} rules passed`);
  for (const it of violations) wrong(`axe on ${name}: ${JSON.stringify(it)}`);
}

// What every page has to hold to, whatever it shows.
async function sound(page, name) {
  const it = await page.evaluate(() => ({
    scripts: document.scripts.length,
    styles: document.querySelectorAll('style, [style]').length,
    handlers: [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length,
    images: [...document.images].filter(e => !e.src.includes('/console/assets/')).length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    heads: document.querySelectorAll('h1').length,
    forms: [...document.forms].filter(e => e.method === 'post' && !e.elements.namedItem('token')).length,
  }));
  for (const [what, count] of Object.entries({ ...it, heads: it.heads - 1 })) expect(count <= 0, `${name} has ${what}: ${count}`);
}

async function look(page, name) {
  await sound(page, name);
  await axe(page, name);
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
}

async function pagesOf(page) {
  await page.goto(`${URL_}/console/events?reason=auth_failure`);
  const event = await page.locator('table.events tbody a').first().getAttribute('href');
  const address = async it => {
    await page.goto(`${URL_}/console/address`);
    await page.getByLabel('Mail address, or @domain').fill(it);
    await page.locator('main').getByRole('button', { name: 'Look up' }).click();
    expect(!decodeURIComponent(page.url()).includes('@'), `no address stands in ${page.url()}`);
    return new URL(page.url()).pathname;
  };
  return {
    overview: '/console', week: '/console?span=7d', month: '/console?span=30d', reasons: '/console?by=reason', events: '/console/events',
    'events-none': '/console/events?reason=virus_detected', event, faults: '/console/faults', 'look-up': '/console/address',
    address: await address('jane@mail.example'), 'address-hostile': await address('hostile@evil.example'),
    'address-noted': await address('noted@mail.example'), lists: '/console/lists', list: '/console/lists/acme.weekly',
    import: '/console/lists/acme.weekly/import', imports: '/console/imports', diagnose: '/console/diagnose',
    quarantine: '/console/quarantine',
  };
}

async function everyPage(page, pages, suffix) {
  for (const [name, where] of Object.entries(pages)) {
    const answer = await page.goto(URL_ + where);
    expect(answer.status() === 200, `${where} is answered ${answer.status()}`);
    const policy = answer.headers()['content-security-policy'] ?? '';
    expect(policy.includes("default-src 'none'") && !policy.includes('unsafe'), `${where} has the policy ${policy}`);
    expect(answer.headers()['cache-control'] === 'no-store', `${where} may be kept: ${answer.headers()['cache-control']}`);
    await look(page, `${name}-${suffix}`);
  }
}

async function theme(page) {
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto(`${URL_}/console/lists`);
  const light = await back();
  const is = it => page.locator(`html[data-theme=${it}] body`).waitFor();
  await page.getByRole('button', { name: 'Dark' }).click();
  await is('dark');
  expect(page.url().endsWith('/console/lists'), `the switch leads back, not to ${page.url()}`);
  expect(await back() !== light, 'the switch makes it dark');
  await page.goto(`${URL_}/console`);
  expect(await back() !== light, 'it is remembered');
  await page.getByRole('button', { name: 'Auto' }).click();
  await is('auto');
  expect(await back() === light, 'and follows the system again');
}

async function hostile(page, pages, HOSTILE) {
  for (const where of [pages['address-hostile'], pages['address-noted'], '/console/faults', '/console/lists/acme.weekly?own=yes']) {
    await page.goto(URL_ + where);
    const text = await page.locator('main').innerText();
    expect(text.includes('<script>alert(1)</script>'), `${where} shows the hostile text as text`);
    expect(text.includes('U+202E') && !text.includes('\u202e'), `${where} shows what would turn the text around`);
  }
  await page.goto(`${URL_}/console/diagnose`);
  await page.getByLabel('A bounce message').fill(`550 5.1.1 ${HOSTILE}</textarea><script>alert(5)</script>`);
  await page.getByRole('button', { name: 'Diagnose' }).click();
  await page.getByRole('region', { name: 'Diagnosis' }).waitFor();
  await look(page, 'diagnosis-hostile');
}

async function keyboard(page) {
  await page.goto(`${URL_}/console`);
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement.className) === 'skip', 'the first stop is the way to the content');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement.id || location.hash) === 'content', 'which it leads to');
  await page.goto(`${URL_}/console`);
  const seen = new Set();
  for (let at = 0; at < 80; at++) {
    await page.keyboard.press('Tab');
    const it = await page.evaluate(() => {
      const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
      return { tag: e.tagName, name: (e.textContent || e.id).trim().slice(0, 30), outlined: style.outlineStyle !== 'none', box: box.width * box.height };
    });
    if (it.tag === 'BODY') break;
    expect(it.outlined && it.box > 0, `who comes by keyboard sees where they are: ${JSON.stringify(it)}`);
    seen.add(it.name);
  }
  for (const name of ['Overview', 'Sender faults', 'Diagnose', 'Sign out', 'Show as a table']) expect(seen.has(name), `${name} is reached by keyboard`);
  await page.locator('#look-up').focus();
  await page.keyboard.type('jane@mail.example');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'The story' }).waitFor();
}

async function acts(page) {
  await page.goto(`${URL_}/console/address`);
  await page.getByLabel('Mail address, or @domain').fill('jane@mail.example');
  await page.locator('main').getByRole('button', { name: 'Look up' }).click();
  await page.getByText('suppressed', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Release hard on acme' }).click();
  await page.getByText('may be mailed', { exact: true }).waitFor();
  await look(page, 'address-released');
  await page.getByText('Block, allow or release').click();
  await page.locator('details select[name=list]').selectOption('acme.weekly');
  await page.getByLabel('Note').fill('asked on the telephone');
  await page.getByRole('button', { name: 'Block', exact: true }).click();
  await page.getByText('manual block').first().waitFor();
  await page.goto(`${URL_}/console/lists/other`);
  await page.getByText('Add or take away an address').click();
  await page.getByLabel('Address, or @domain').fill('new@mail.example');
  await page.getByRole('button', { name: 'Block', exact: true }).click();
  await page.getByRole('link', { name: 'new@mail.example' }).waitFor();
  await page.goto(`${URL_}/console/lists/other/import`);
  const file = { name: 'list.csv', mimeType: 'text/csv', buffer: Buffer.from('address,cause\na@list.example,unsubscribe\nnonsense,hard\nb@list.example,hard\n') };
  await page.getByLabel('File').setInputFiles(file);
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByText('Nothing was written.').waitFor();
  await page.getByText('Lines that were not taken').waitFor();
  await look(page, 'import-preview');
  const preview = page.url();
  await page.getByRole('button', { name: 'Import it' }).click();
  await page.getByRole('button', { name: 'Undo this import' }).waitFor();
  expect(page.url() !== preview, 'the import is another one than its preview');
  await page.goBack();
  await page.reload();
  await page.getByRole('link', { name: 'It was imported since.' }).waitFor();
  await look(page, 'import-preview-used');
  await page.goto(`${URL_}/console/imports`);
  await page.locator('tbody a').first().click();
  await page.getByRole('button', { name: 'Undo this import' }).waitFor();
  await look(page, 'import-done');
  await page.getByRole('button', { name: 'Undo this import' }).click();
  await page.getByText('undone', { exact: true }).waitFor();
  const download = page.waitForEvent('download');
  await page.goto(`${URL_}/console/lists/other`);
  await page.getByRole('link', { name: 'Export CSV' }).click();
  expect((await download).suggestedFilename() === 'other.csv', 'a list can be exported');
  await page.goto(`${URL_}/console/quarantine`);
  const raw = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Raw' }).first().click();
  expect(/^receipt-.*\.txt$/.test((await raw).suggestedFilename()), 'a raw message is a download of plain text');
  await page.getByRole('button', { name: 'Read the chosen ones again' }).click();
  await page.getByRole('status').getByText('Read again').waitFor();
  await page.goto(`${URL_}/console/diagnose`);
  await page.getByLabel('A bounce message').fill('550 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org');
  await page.getByRole('button', { name: 'Diagnose' }).click();
  await page.getByText('never blocks the address').waitFor();
  await look(page, 'diagnosis');
}

async function scopes(browser) {
  const reader = await visitor(browser);
  await signIn(reader, process.env.REBOUND_READER);
  await reader.goto(`${URL_}/console/lists/acme.weekly`);
  expect(await reader.getByText('Add or take away').count() === 0, 'who may only read is offered no change');
  expectedStatus = 403;
  expect((await reader.goto(`${URL_}/console/lists/acme.weekly/import`)).status() === 403, 'nor let in by the path');
  await look(reader, 'forbidden');
  expectedStatus = null;
  const confined = await visitor(browser);
  await signIn(confined, process.env.REBOUND_CONFINED);
  await look(confined, 'overview-confined');
  await confined.goto(`${URL_}/console/lists`);
  expect(!(await confined.locator('main').innerText()).includes('other'), 'a key of one tree sees no other');
  await reader.goto(`${URL_}/console`);
  await reader.getByRole('button', { name: 'Sign out' }).click();
  await reader.getByRole('heading', { name: 'Sign in' }).waitFor();
  await reader.goto(`${URL_}/console/events?kind=bounce`);
  await reader.getByLabel('API key').fill('rbk_nonsense');
  expectedStatus = 422;
  await reader.getByRole('button', { name: 'Sign in' }).click();
  await reader.getByRole('alert').waitFor();
  await look(reader, 'sign-in-wrong');
  expectedStatus = null;
  await reader.getByLabel('API key').fill(process.env.REBOUND_READER);
  await reader.getByRole('button', { name: 'Sign in' }).click();
  await reader.getByRole('heading', { level: 1, name: 'Events' }).waitFor();
  expect(reader.url().endsWith('/console/events?kind=bounce'), `one comes to where one wanted, not to ${reader.url()}`);
}

async function main() {
  await ready();
  const { HOSTILE } = await seed(URL_, process.env.REBOUND_ADMIN);
  const browser = await chromium.launch({ executablePath: process.env.REBOUND_BROWSER, headless: true, args: FLAGS });
  const step = async (name, run) => { console.log(name); await run().catch(it => wrong(`${name}: ${it.message}`)); };
  try {
    const wide = await visitor(browser);
    wide.setDefaultTimeout(15000);
    await step('signing in', async () => { await wide.goto(`${URL_}/console/sign-in`); await look(wide, 'sign-in-light'); await signIn(wide, process.env.REBOUND_ADMIN); });
    const pages = await pagesOf(wide);
    await step('every page, light', () => everyPage(wide, pages, 'light'));
    await step('the switch of the theme', () => theme(wide));
    await step('hostile texts', () => hostile(wide, pages, HOSTILE));
    await step('by keyboard', () => keyboard(wide));
    const state = await wide.context().storageState();
    const dark = await visitor(browser, { colorScheme: 'dark', storageState: state });
    await step('every page, dark', () => everyPage(dark, pages, 'dark'));
    const phone = await visitor(browser, { viewport: PHONE, storageState: state, isMobile: true, hasTouch: true });
    await step('every page, on a telephone', () => everyPage(phone, pages, 'phone'));
    const plain = await visitor(browser, { javaScriptEnabled: false, storageState: state });
    await step('without scripts', async () => { await plain.goto(`${URL_}/console`); await plain.getByRole('heading', { level: 1, name: 'Overview' }).waitFor(); });
    await step('acting', () => acts(wide));
    await step('scopes', () => scopes(browser));
  } finally {
    await browser.close();
  }
  console.log(findings.length === 0 ? 'no findings' : `${findings.length} findings`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}

main().catch(it => { console.error(it); process.exitCode = 1; });
