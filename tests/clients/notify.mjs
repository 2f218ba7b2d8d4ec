// Calls a server as the official Node.js client of GOV.UK Notify does: the same
// calls as notify.py, reported in the same form.
//
// usage: node notify.mjs BASE_URL API_KEY
//
// BASE_URL has no slash at its end.

import notify from 'notifications-node-client';

const LIMIT_MS = 20_000;
const NOTIFICATION = '5a1d8cb2-9c1e-4a07-8b7b-0c3a5a0f3d11';
const TEMPLATE = '2f6c2b1e-7d55-4c0b-9f6a-6f3d1c9b8e22';

setTimeout(() => {
  console.error('no answer in time');
  process.exit(1);
}, LIMIT_MS).unref();
const [baseUrl, apiKey] = process.argv.slice(2);
const client = new notify.NotifyClient(baseUrl, apiKey);

async function report(call) {
  try {
    const { status, data } = await call();
    return { status, result: data };
  } catch (error) {
    if (!error.isAxiosError) throw error;
    const { status = null, data = error.code } = error.response ?? {};
    return { status, error: data?.message ?? data?.errors ?? data };
  }
}

console.log(JSON.stringify({
  get: await report(() => client.getNotificationById(NOTIFICATION)),
  list: await report(() => client.getNotifications('email', 'delivered')),
  post: await report(() => client.sendEmail(TEMPLATE, 'someone@example.com', {
    personalisation: { name: 'Zoë / “Ann”' }, reference: 'one',
  })),
}));
